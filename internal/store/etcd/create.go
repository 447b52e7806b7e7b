package etcd

import (
	"context"
	"encoding/json"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
)

// Create makes the record of the first generation, where there is none.
func Create(ctx context.Context, o Options) error {
	config, err := configOf(o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*remote.CallTimeout)
	defer cancel()
	c, err := newClient(ctx, config)
	if err != nil {
		return fmt.Errorf("connecting to etcd: %w", classify(err, false))
	}
	defer c.Close()
	if err := examine(ctx, c); err != nil {
		return err
	}
	at := layoutOf(o.Prefix)
	err = retried(ctx, func(ctx context.Context) error { return create(clientv3.WithRequireLeader(ctx), c, at) })
	if err != nil {
		return fmt.Errorf("making the database in etcd: %w", err)
	}
	return nil
}

func create(ctx context.Context, c *clientv3.Client, at layout) error {
	found, err := c.Get(ctx, at.meta())
	if err != nil {
		return classify(err, false)
	}
	if len(found.Kvs) > 0 {
		return nil
	}
	text, err := json.Marshal(meta{Schema: schemaVersion, Store: newRun(), Cluster: clusterName(found.Header.ClusterId), Begun: newRun()})
	if err != nil {
		return err
	}
	_, err = c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(at.meta()), "=", 0)).Then(clientv3.OpPut(at.meta(), string(text))).Commit()
	if err != nil {
		return classify(err, true)
	}
	return nil
}
