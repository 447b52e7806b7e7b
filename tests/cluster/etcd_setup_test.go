//go:build components

package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/internal/store/etcd"
	"github.com/stepup-gateway/caddy-stepup/store"
	"github.com/stepup-gateway/caddy-stepup/store/storetest"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// certificates makes an authority and a certificate for 127.0.0.1, and returns the
// directory with ca.pem, cert.pem and key.pem.
func certificates(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "member"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	ca, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), authorityKey)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write("ca.pem", "CERTIFICATE", ca)
	write("cert.pem", "CERTIFICATE", cert)
	write("key.pem", "EC PRIVATE KEY", der)
	return dir
}

// TestEtcdTLSAndUser: certificates of both sides, and a user who may do no more than
// the documentation says.
func TestEtcdTLSAndUser(t *testing.T) {
	dir := certificates(t)
	file := func(name string) string { return filepath.Join(dir, name) }
	s := newEtcd(t, "-cert", file("cert.pem"), "-key", file("key.pem"), "-authority", file("ca.pem"))
	pool := x509.NewCertPool()
	text, err := os.ReadFile(file("ca.pem"))
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(file("cert.pem"), file("key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}
	root, err := clientv3.New(clientv3.Config{Endpoints: s.endpoints(), TLS: config, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	ctx := t.Context()
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"root", "gateway"} {
		_, err := root.UserAdd(ctx, name, "wonderland")
		do(err)
	}
	_, err = root.RoleAdd(ctx, "gateway")
	do(err)
	_, err = root.UserGrantRole(ctx, "root", "root")
	do(err)
	_, err = root.UserGrantRole(ctx, "gateway", "gateway")
	do(err)
	_, err = root.RoleGrantPermission(ctx, "gateway", "d", clientv3.GetPrefixRangeEnd("d"), clientv3.PermissionType(clientv3.PermReadWrite))
	do(err)
	_, err = root.AuthEnable(ctx)
	do(err)

	right := etcd.Options{Endpoints: s.endpoints(), Prefix: "d0", TLS: config, User: "gateway", Password: "wonderland", Stale: time.Second}
	do(etcd.Create(ctx, right))
	made := 0
	storetest.RunShared(t, func(t *testing.T) [2]store.Shared {
		made++
		o := right
		o.Prefix = fmt.Sprintf("d%d", made)
		if err := etcd.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		return [2]store.Shared{openEtcd(t, o), openEtcd(t, o)}
	})
	for name, c := range map[string]struct {
		change func(*etcd.Options)
		is     error
		text   string
	}{
		"another prefix":    {func(o *etcd.Options) { o.Prefix = "elsewhere" }, store.ErrUnfit, "readwrite"},
		"no user":           {func(o *etcd.Options) { o.User, o.Password = "", "" }, store.ErrUnfit, "user"},
		"wrong password":    {func(o *etcd.Options) { o.Password = "no" }, store.ErrUnfit, "password"},
		"no certificate":    {func(o *etcd.Options) { o.TLS = &tls.Config{RootCAs: pool} }, store.ErrUnavailable, ""},
		"unknown authority": {func(o *etcd.Options) { o.TLS = &tls.Config{Certificates: config.Certificates} }, store.ErrUnavailable, ""},
		"name not in the certificate": {func(o *etcd.Options) {
			o.Endpoints = []string{strings.Replace(o.Endpoints[0], "127.0.0.1", "localhost", 1)}
		}, store.ErrUnavailable, ""},
	} {
		o := right
		c.change(&o)
		st, err := etcd.Start(o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := st.FirstTry(ctx); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
		st.Close()
	}
}

// TestEtcdUnfit: servers that take less than is needed, and a prefix where nothing was
// made, are refused in a sentence.
func TestEtcdUnfit(t *testing.T) {
	first := func(o etcd.Options) error {
		st, err := etcd.Start(o)
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		return st.FirstTry(t.Context())
	}
	for setting, args := range map[string][]string{
		"--max-txn-ops":       {"-max-txn-ops", "64"},
		"--max-request-bytes": {"-max-request-bytes", "1048576"},
	} {
		s := newEtcd(t, args...)
		if err := first(s.database()); !errors.Is(err, store.ErrUnfit) || !strings.Contains(err.Error(), setting) {
			t.Errorf("%s: %v", setting, err)
		}
		s.stop()
	}
	s := newEtcd(t)
	if err := first(etcd.Options{Endpoints: s.endpoints()}); !errors.Is(err, store.ErrUnfit) || !strings.Contains(err.Error(), "init") {
		t.Errorf("without init: %v", err)
	}
}

// TestEtcdQuota: near the quota nothing grows, and what takes access away goes on.
func TestEtcdQuota(t *testing.T) {
	s := newEtcd(t, "-quota", fmt.Sprint(96<<20))
	st := openEtcd(t, s.database())
	ctx := t.Context()
	value := []byte(strings.Repeat("x", 200<<10))
	until(t, "full", func() bool {
		err := st.Apply(ctx, store.Op{Key: []byte("k"), Value: value})
		if err != nil && !errors.Is(err, store.ErrNoSpace) {
			t.Fatal(err)
		}
		return err != nil && st.Health().Low != nil
	})
	if low := st.Health().Low; !strings.Contains(low.Error(), "quota") {
		t.Errorf("health says %v", low)
	}
	if err := st.Apply(ctx, store.Op{Key: []byte("new"), Value: []byte("1")}); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("what grows: %v", err)
	}
	if err := st.Apply(store.Taking(ctx), store.Op{Key: []byte("reset"), Value: []byte("1")}); err != nil {
		t.Errorf("what takes away: %v", err)
	}
	if err := st.Apply(ctx, store.Op{Key: []byte("k")}); err != nil {
		t.Errorf("a deletion: %v", err)
	}
}

// TestEtcdCommands: a configuration is valid though no member answers, and there are
// no statements to print.
func TestEtcdCommands(t *testing.T) {
	g := gateway.New(t, gateway.Options{Upstream: "127.0.0.1:1"})
	file := g.Write(checkFile(t, g, "store etcd {\nendpoints http://127.0.0.1:1\n}"))
	if out, err := g.Command("validate", "--config", file).CombinedOutput(); err != nil {
		t.Errorf("validate: %v\n%s", err, out)
	}
	if out, err := g.Command("step-up", "init", "--sql", "--config", file).CombinedOutput(); err == nil || !strings.Contains(string(out), "--sql is for a store whose database takes SQL") {
		t.Errorf("init --sql: %v\n%s", err, out)
	}
	began := time.Now()
	if out, err := g.Command("step-up", "init", "--config", file).CombinedOutput(); err == nil || !strings.Contains(string(out), "etcd") || time.Since(began) > 20*time.Second {
		t.Errorf("init: %v after %v\n%s", err, time.Since(began), out)
	}
}

// TestEtcdTidies: history is compacted, and pieces of values go once nobody names
// them: those of a value that was replaced or deleted, and of a change that did not
// take place. Those that are named stay, and what has run out is given to etcd.
func TestEtcdTidies(t *testing.T) {
	s := newEtcd(t)
	o := s.database()
	o.History = 3 * time.Second
	st := openEtcd(t, o)
	ctx := t.Context()
	large := func(c string) []byte { return []byte(strings.Repeat(c, 1500<<10)) }
	put := func(key string, value []byte, expires time.Time) {
		t.Helper()
		if err := st.Apply(ctx, store.Op{Key: []byte(key), Value: value, Expires: expires}); err != nil {
			t.Fatal(err)
		}
	}
	for i, key := range []string{"stays", "replaced", "deleted"} {
		put(key, large(fmt.Sprint(i)), time.Time{})
	}
	put("replaced", large("r"), time.Time{})
	if err := st.Apply(ctx, store.Op{Key: []byte("deleted")}); err != nil {
		t.Fatal(err)
	}
	if err := st.Apply(ctx, store.Op{Key: []byte("never"), Value: large("n")}, store.Op{Key: []byte("stays"), If: store.If(0)}); !errors.Is(err, store.ErrConflict) {
		t.Fatal(err)
	}
	put("runs out", []byte("1"), time.Now().Add(time.Hour))
	c := s.client(s.endpoints()...)
	at, err := c.Get(ctx, o.Prefix+"/k/runs out")
	if err != nil || len(at.Kvs) != 1 {
		t.Fatal(err)
	}
	left, err := c.TimeToLive(ctx, clientv3.LeaseID(at.Kvs[0].Lease))
	if err != nil || left.TTL < 3600 || left.TTL > 3600+1800 {
		t.Errorf("what runs out in an hour is kept for %d s, %v", left.TTL, err)
	}
	pieces := func() int64 {
		found, err := c.Get(ctx, o.Prefix+"/c/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			t.Fatal(err)
		}
		return found.Count
	}
	const each = 2 // pieces of a value
	if n := pieces(); n != 5*each {
		t.Fatalf("%d pieces, want %d", n, 5*each)
	}
	until(t, "only pieces that are named", func() bool { return pieces() == 2*each })
	time.Sleep(o.History)
	if n := pieces(); n != 2*each {
		t.Errorf("%d pieces are left, want %d", n, 2*each)
	}
	for key, want := range map[string]string{"stays": "0", "replaced": "r"} {
		if e, err := st.Get(ctx, []byte(key)); err != nil || string(e.Value) != string(large(want)) {
			t.Errorf("%s: %d bytes, %v", key, len(e.Value), err)
		}
	}
	if _, err := c.Get(ctx, "x", clientv3.WithRev(at.Header.Revision)); !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("history of before: %v", err)
	}
}
