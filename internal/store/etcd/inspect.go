package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/stepup-gateway/caddy-stepup/internal/clock"
	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
)

const (
	// inspectTimeout is how long all of an inspection may take.
	inspectTimeout = 8 * time.Second
	// listening is how long other gateways are listened to, which write their time each
	// second.
	listening = tickEvery + 500*time.Millisecond
)

// Inspect asks all members of the options what a gateway would find there, and what is
// stored under the key. It changes nothing.
func Inspect(ctx context.Context, o Options, key []byte) (remote.Inspection, error) {
	config, err := configOf(o)
	if err != nil {
		return remote.Inspection{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	found := remote.Inspection{Name: o.Endpoints[0] + "/" + PrefixOf(o.Prefix)}
	c, err := newClient(ctx, config)
	if err != nil {
		for _, endpoint := range o.Endpoints {
			found.Servers = append(found.Servers, remote.Server{Name: endpoint, Problem: remote.Sentence(classify(err, false))})
		}
		found.Add(true, "store-unreachable", "no member of etcd can be asked: "+remote.Sentence(classify(err, false)), "check the endpoints, the firewall, the certificates, and user and password")
		return found, nil
	}
	defer c.Close()
	if inspectMembers(ctx, &found, c) == 0 {
		return found, nil
	}
	if err := readDatabase(ctx, &found, c, layoutOf(o.Prefix), key); err != nil {
		found.Add(true, "store-unreadable", "etcd cannot be read: "+remote.Sentence(err), "a majority of the members must run and reach each other, and the user must be allowed to use the prefix")
	}
	return found, nil
}

// inspectMembers asks each member by itself, and returns how many answer.
func inspectMembers(ctx context.Context, found *remote.Inspection, c *clientv3.Client) (answered int) {
	endpoints := c.Endpoints()
	statuses, failures := make([]*clientv3.StatusResponse, len(endpoints)), make([]error, len(endpoints))
	var asking sync.WaitGroup
	for i, endpoint := range endpoints {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
			defer cancel()
			statuses[i], failures[i] = c.Status(ctx, endpoint)
		})
	}
	asking.Wait()
	for i, endpoint := range endpoints {
		one := remote.Server{Name: endpoint}
		if failures[i] != nil {
			one.Problem = remote.Sentence(classify(failures[i], false))
		} else {
			answered++
			describe(&one, statuses[i])
			if err := checkVersion(statuses[i].Version); err != nil {
				found.Add(true, "store-unfit", endpoint+": "+remote.Sentence(err), "upgrade the member")
			}
			for _, alarm := range statuses[i].Errors {
				found.Add(false, "store-alarm", endpoint+": etcd says: "+alarm, "see `etcdctl alarm list` and `etcdctl endpoint status`")
			}
		}
		found.Servers = append(found.Servers, one)
	}
	for _, one := range found.Servers {
		if one.Problem != "" {
			found.Add(answered == 0, "store-unreachable", fmt.Sprintf("the member %s of etcd cannot be asked: %s", one.Name, one.Problem), "check that it runs, the address, the firewall and the certificates")
		}
	}
	return answered
}

func describe(one *remote.Server, status *clientv3.StatusResponse) {
	one.Version, one.Role = status.Version, "member"
	switch {
	case status.IsLearner:
		one.Role = "learner"
	case status.Leader == 0:
		one.Role = "member without a leader"
	case status.Leader == status.Header.MemberId:
		one.Role = "leader"
	}
	if strings.HasPrefix(one.Name, "https://") {
		one.TLS = "TLS"
	}
	one.Note = fmt.Sprintf("%d MiB", (status.DbSize+1<<20-1)>>20)
}

// readDatabase reads what the gateways have under the prefix.
func readDatabase(ctx context.Context, found *remote.Inspection, c *clientv3.Client, at layout, key []byte) error {
	var resp *clientv3.TxnResponse
	err := retried(ctx, func(ctx context.Context) (err error) {
		attempt, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), attemptTimeout)
		defer cancel()
		resp, err = c.Txn(attempt).Then(clientv3.OpGet(at.meta()), clientv3.OpGet(at.entry(key)),
			clientv3.OpGet(at.times(), clientv3.WithPrefix(), clientv3.WithCountOnly())).Commit()
		if err != nil {
			return classify(err, false)
		}
		return nil
	})
	if err != nil {
		return err
	}
	rows := func(i int) []*mvccpb.KeyValue { return resp.Responses[i].GetResponseRange().Kvs }
	if len(rows(0)) == 0 {
		found.Add(true, "store-empty", "there is no database of the gateway under the prefix "+at.prefix, "run `caddy step-up init` once")
		return nil
	}
	var m meta
	if err := json.Unmarshal(rows(0)[0].Value, &m); err != nil {
		return errors.New("the record of the generation cannot be read")
	}
	found.Schema, found.Generation = m.Schema, m.Generation
	if m.Schema > schemaVersion {
		found.Add(true, "store-unfit", fmt.Sprintf("the database under the prefix is of version %d, made by a newer gateway, and this one knows version %d", m.Schema, schemaVersion), "use the newer gateway")
	}
	if cluster := clusterName(resp.Header.ClusterId); cluster != m.Cluster {
		found.Add(false, "store-generation", fmt.Sprintf("the database is in the cluster %s, and was in %s: a snapshot was restored; no gateway has met it since", cluster, m.Cluster),
			"the first one begins a new generation: people are asked again")
	}
	if len(rows(1)) > 0 {
		if found.Record, _, _, err = decode(rows(1)[0].Value); err != nil {
			return err
		}
	}
	if resp.Responses[2].GetResponseRange().Count > 0 {
		listenToClocks(ctx, found, c, at)
	}
	return nil
}

// listenToClocks compares this machine's clock with those of gateways that run. They
// write their time once a second: what comes by was written since the watch began.
func listenToClocks(ctx context.Context, found *remote.Inspection, c *clientv3.Client, at layout) {
	ctx, cancel := context.WithTimeout(ctx, listening)
	defer cancel()
	var others clocks
	from := clock.Now()
	for answer := range c.Watch(clientv3.WithRequireLeader(ctx), at.times(), clientv3.WithPrefix()) {
		for _, event := range answer.Events {
			if event.Type == clientv3.EventTypePut {
				others.told(string(event.Kv.Key), string(event.Kv.Value), from, clock.Now())
			}
		}
	}
	_, _, worst := others.compare()
	found.ClockSeconds = worst.Seconds()
	if skew := worst.Abs(); skew > mostSkew/2 {
		found.Add(skew > mostSkew, "store-clock", fmt.Sprintf("the clock of a gateway that uses the database differs from this machine's by %v, and at most %v are allowed", worst.Round(10*time.Millisecond), mostSkew),
			"let the clocks be set by NTP, on whichever side is wrong")
	}
}
