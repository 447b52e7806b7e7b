package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// ErrInsecure reports that a connection over a network would not be encrypted.
var ErrInsecure = errors.New("the connection to etcd would not be safe: write https://, and `ca FILE` where its certificate is not of a public authority; only a server on this machine can do without")

// configOf checks the options, and makes of them what the client takes.
func configOf(o Options) (clientv3.Config, error) {
	c := clientv3.Config{
		Endpoints: o.Endpoints, TLS: o.TLS, Username: o.User, Password: o.Password,
		DialTimeout: 3 * time.Second,
		// A server ends connections that ask more often than each 5 s.
		DialKeepAliveTime: 6 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
		Logger: zap.NewNop(),
	}
	if len(o.Endpoints) == 0 {
		return c, errors.New("etcd needs the addresses of its members")
	}
	if (o.User == "") != (o.Password == "") {
		return c, errors.New("a user of etcd needs a password, and a password a user")
	}
	plain := 0
	for _, endpoint := range o.Endpoints {
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" || u.Port() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" ||
			u.Scheme != "https" && u.Scheme != "http" {
			return c, fmt.Errorf("endpoint %q cannot be read: write it as https://HOST:2379", endpoint)
		}
		if u.Scheme == "http" {
			if plain++; !isLocal(u.Hostname()) {
				return c, fmt.Errorf("endpoint %s: %w", endpoint, ErrInsecure)
			}
		}
	}
	if plain > 0 && plain < len(o.Endpoints) {
		return c, errors.New("endpoints of etcd with http:// and with https:// cannot be mixed")
	}
	if plain > 0 && o.TLS != nil {
		return c, errors.New("certificates are for endpoints with https://")
	}
	if o.TLS != nil && o.TLS.InsecureSkipVerify {
		return c, ErrInsecure
	}
	return c, nil
}

func isLocal(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// Check reports what is wrong with the options; nil: nothing.
func Check(o Options) error {
	_, err := configOf(o)
	return err
}

// connect makes the client where there is none. With a user it signs in.
func (s *Store) connect(ctx context.Context) (*clientv3.Client, error) {
	if c := s.client.Load(); c != nil {
		return c, nil
	}
	c, err := newClient(ctx, s.config)
	if err != nil {
		return nil, classify(err, false)
	}
	s.client.Store(c)
	return c, nil
}

func newClient(ctx context.Context, config clientv3.Config) (*clientv3.Client, error) {
	if end, ok := ctx.Deadline(); ok {
		config.DialTimeout = min(config.DialTimeout, time.Until(end))
	}
	return clientv3.New(config)
}
