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
	text, err := g.Command("step-up", "keygen").Output()
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, text, 0o600); err != nil {
		t.Fatal(err)
	}
	file := g.Write(strings.NewReplacer("KEY", key, "STORE", "store etcd {\nendpoints http://127.0.0.1:1\n}", "EXTRA", "").Replace(nodeCaddyfile))
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
