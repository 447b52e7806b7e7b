package postgres

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Over a network a server is verified, or it is not connected to.
func TestNetworkIsVerified(t *testing.T) {
	for _, name := range []string{"PGSSLMODE", "PGHOST", "PGSERVICE", "PGSSLROOTCERT"} {
		t.Setenv(name, "") // nothing of the machine's own
		os.Unsetenv(name)
	}
	for url, safe := range map[string]bool{
		"postgres://u:p@db.example.com/d?sslmode=verify-full":                         true,
		"host=db.example.com user=u dbname=d sslmode=verify-full":                     true,
		"postgres://u@db1.example.com,db2.example.com/d?sslmode=verify-full":          true,
		"postgres://u@127.0.0.1/d?sslmode=disable":                                    true,
		"postgres://u@localhost/d":                                                    true,
		"postgres://u@[::1]:5433/d":                                                   true,
		"host=/var/run/postgresql user=u dbname=d":                                    true,
		"postgres://u:p@db.example.com/d":                                             false,
		"postgres://u:p@db.example.com/d?sslmode=disable":                             false,
		"postgres://u:p@db.example.com/d?sslmode=allow":                               false,
		"postgres://u:p@db.example.com/d?sslmode=prefer":                              false,
		"postgres://u:p@db.example.com/d?sslmode=require":                             false,
		"postgres://u:p@db.example.com/d?sslmode=verify-ca":                           false,
		"postgres://u:p@127.0.0.1,db.example.com/d?sslmode=disable":                   false,
		"postgres://u:p@10.0.0.5/d?sslmode=require":                                   false,
		"host=@abstract user=u dbname=d sslmode=disable":                              false,
		"postgres://u:p@db.example.com/d?sslmode=require&sslrootcert=/nowhere/ca.pem": false,
	} {
		_, err := Start(Options{URL: url})
		if safe != (err == nil) {
			t.Errorf("%s: %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: the error has the password in it: %v", url, err)
		}
		if !safe && !strings.Contains(url, "nowhere") && !errors.Is(err, ErrInsecure) {
			t.Errorf("%s: %v", url, err)
		}
	}
	// What the environment says counts too.
	t.Setenv("PGSSLMODE", "require")
	if _, err := Start(Options{URL: "postgres://u:p@db.example.com/d"}); !errors.Is(err, ErrInsecure) {
		t.Errorf("PGSSLMODE=require: %v", err)
	}
	service := filepath.Join(t.TempDir(), "service")
	if err := os.WriteFile(service, []byte("[s]\nhost=db.example.com\nsslmode=disable\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Unsetenv("PGSSLMODE")
	t.Setenv("PGSERVICEFILE", service)
	t.Setenv("PGSERVICE", "s")
	if _, err := Start(Options{URL: "user=u dbname=d"}); !errors.Is(err, ErrInsecure) {
		t.Errorf("a service of PostgreSQL's own file: %v", err)
	}
}
