//go:build components

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/migrate"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
	"github.com/stepup-gateway/caddy-stepup/internal/store/etcd"
	"github.com/stepup-gateway/caddy-stepup/store"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// mover is one gateway whose database goes from store to store.
type mover struct {
	*gateway.Gateway
	t       *testing.T
	file    string // the Caddyfile, with STORE for the store
	key     string // the file
	paid    atomic.Pointer[string]
	command int
}

const apiSite = `http://127.0.0.1:GW_PORT {
	step_up_api
}
`

func newMover(t *testing.T) *mover {
	m := &mover{t: t}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if text := string(body); r.URL.Path == "/pay" && r.Method == http.MethodPost {
			m.paid.Store(&text)
		}
		fmt.Fprint(w, "served")
	}))
	t.Cleanup(upstream.Close)
	m.Gateway = gateway.New(t, gateway.Options{Upstream: strings.TrimPrefix(upstream.URL, "http://")})
	m.key = keyFile(t, m.Gateway)
	m.file = strings.NewReplacer("KEY", m.key, "EXTRA", "limits {\nheld {\nsize 2MiB\n}\n}").Replace(nodeCaddyfile) + apiSite
	return m
}

func (m *mover) on(store string) string { return strings.ReplaceAll(m.file, "STORE", store) }

// write writes the configuration with a store to a file of its own.
func (m *mover) write(store string) string {
	m.t.Helper()
	m.command++
	path := filepath.Join(m.Dir, fmt.Sprintf("Caddyfile.%d", m.command))
	if err := os.WriteFile(path, []byte(m.Fill(m.on(store))), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// migrate runs the command.
func (m *mover) migrate(from, to string, more ...string) (string, error) {
	out, err := m.Command(append([]string{"step-up", "migrate", "--from", m.write(from), "--to", m.write(to)}, more...)...).CombinedOutput()
	return string(out), err
}

// mustMigrate moves the database, and checks what the command says.
func (m *mover) mustMigrate(from, to string) {
	m.t.Helper()
	out, err := m.migrate(from, to, "--json")
	var report struct {
		Rows   int64
		SHA256 string
		Before bool
	}
	if at := strings.LastIndex(out, "\n{\n"); err == nil && at >= 0 {
		err = json.Unmarshal([]byte(out[at:]), &report)
	}
	if err != nil || !report.Before && (report.Rows < 10 || len(report.SHA256) != 64) {
		m.t.Fatalf("from %s to %s: %v\n%s", from, to, err, out)
	}
	m.t.Logf("%d rows", report.Rows)
}

// refuses fails unless a gateway refuses to start on the store, for the reason.
func (m *mover) refuses(store string, says ...string) {
	m.t.Helper()
	logged := len(m.Log())
	if err := m.TryRun(m.on(store)); err == nil {
		m.t.Fatalf("a gateway starts on %s", store)
	}
	m.Kill()
	for _, text := range says {
		if log := m.Log()[logged:]; !strings.Contains(log, text) {
			m.t.Errorf("a gateway on %s does not say %q:\n%s", store, text, log)
		}
	}
}

// keeper is somebody who has all that a move could lose.
type keeper struct {
	*gateway.Person
	apiKey    string
	challenge string // of a form that is held
	form      string
	recovery  int
}

func (m *mover) newKeeper() *keeper {
	m.t.Helper()
	k := &keeper{Person: m.NewPerson("alice")}
	k.Host = "bank.test"
	k.Enroll(m.t, "")
	var key struct{ Key string }
	_, text, _ := strings.Cut(ask(m.t, m.Gateway, "keys", "create", "--tenant", "default", "--scope", "read", "--json"), "{")
	if err := json.Unmarshal([]byte("{"+text), &key); err != nil || key.Key == "" {
		m.t.Fatal(err, text)
	}
	k.apiKey = key.Key
	k.StepUp(m.t, "VIEW_REPORTS")
	k.StepUp(m.t, "PAY")
	if got := m.status(k, "POST", "/pay"); got != 200 {
		m.t.Fatalf("with a one-time grant: %d", got)
	}
	m.hold(k)
	return k
}

func (m *mover) status(k *keeper, method, path string) int {
	m.t.Helper()
	resp, _, err := k.Do(method, path, map[string]string{"Accept": "application/json"}, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	return resp.StatusCode
}

// hold lets a large form be held.
func (m *mover) hold(k *keeper) {
	m.t.Helper()
	k.form = "amount=1&note=" + strings.Repeat(string(rune('a'+rand.IntN(26))), 2<<20-100)
	var err error
	if k.challenge, err = holdThisForm(k.Person, "/pay", k.form); err != nil {
		m.t.Fatal(err)
	}
}

// keeps checks that everything is as it was, and makes a new form be held.
func (m *mover) keeps(k *keeper) {
	m.t.Helper()
	if got := m.status(k, "GET", "/reports/1"); got != 200 {
		m.t.Errorf("with the live grant: %d", got)
	}
	if got := m.status(k, "POST", "/pay"); got != 401 {
		m.t.Errorf("with the one-time grant that was used: %d", got)
	}
	for key, want := range map[string]int{k.apiKey: 400, "suk_none": 401} {
		r, err := http.NewRequest("POST", m.URL+"/api/backend/v1/mfa/step-up/verify-grant", strings.NewReader("{}"))
		if err != nil {
			m.t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			m.t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want && resp.StatusCode != 403 { // 403: it is known, and has not that scope
			m.t.Errorf("with an API key: %d, want %d", resp.StatusCode, want)
		}
	}
	resume, err := proveHeld(k.Person, k.challenge, k.Code(m.t))
	if err != nil {
		m.t.Fatal(err)
	}
	m.paid.Store(nil)
	resp, _, err := k.Do("GET", resume, window, nil)
	if err != nil || resp.StatusCode != 200 {
		m.t.Fatalf("the held form: %v, %v", resp, err)
	}
	if got := m.paid.Load(); got == nil || *got != k.form {
		m.t.Error("the application did not get the held form")
	}
	// One recovery code more, and none that was used.
	for _, code := range []struct {
		at   int
		want int
	}{{k.recovery, 200}, {k.recovery, 422}} {
		challenge, err := k.Begin("VIEW_REPORTS")
		if err != nil {
			m.t.Fatal(err)
		}
		if got, err := k.Verify(challenge, "recovery_code", k.RecoveryCodes[code.at]); got != code.want {
			m.t.Errorf("recovery code %d: %d, %v, want %d", code.at, got, err, code.want)
		}
	}
	k.recovery++
	m.hold(k)
}

// TestMigrate moves a database from engine to engine and back, killed again and again
// on the way. Whoever was enrolled, what was live, held and spent is as before.
func TestMigrate(t *testing.T) {
	m := newMover(t)
	first, last := "store badger {\ndir GW_DIR/first\nmark GW_DIR/first.mark\n}", "store badger {\ndir GW_DIR/last\n}"
	places := []string{first, onPostgres(newServer(t).database()), "store etcd {\nendpoints " + strings.Join(newEtcd(t).endpoints(), " ") + "\n}", last}
	if out, err := m.Command("step-up", "init", "--config", m.write(first)).CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	m.Run(m.on(first))
	k := m.newKeeper()
	if out, err := m.migrate(first, last); err == nil || !strings.Contains(out, "a gateway uses the database") {
		t.Errorf("with a gateway: %v\n%s", err, out)
	}
	m.Stop()
	padding(t, filepath.Join(m.Dir, "first"), 20_000)
	for i, to := range places[1:] {
		from := places[i]
		kills := 10
		for n := range kills {
			cmd := m.Command("step-up", "migrate", "--from", m.write(from), "--to", m.write(to))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(rand.N(4 * time.Second))
			cmd.Process.Kill()
			cmd.Wait()
			if n%5 == 1 {
				m.atMostOne(from, to)
			}
		}
		m.mustMigrate(from, to)
		m.refuses(from, "the database was moved to")
		m.Run(m.on(to))
		m.keeps(k)
		if i < 2 {
			if out, err := m.migrate(to, places[i+2]); err == nil || !strings.Contains(out, "stop all gateways first") {
				t.Errorf("with a gateway: %v\n%s", err, out)
			}
			if got := m.status(k, "GET", "/reports/1"); got != 200 {
				t.Errorf("after a migration was refused: %d", got)
			}
		}
		m.Stop()
	}
}

// atMostOne fails if gateways start on both stores.
func (m *mover) atMostOne(stores ...string) {
	m.t.Helper()
	served := 0
	for _, store := range stores {
		logged := len(m.Log())
		if m.TryRun(m.on(store)) == nil {
			served++
		} else if log := m.Log()[logged:]; !strings.Contains(log, "caddy step-up migrate") && !strings.Contains(log, "database is empty") && !strings.Contains(log, "caddy step-up init") {
			m.t.Errorf("a gateway on %s refuses for another reason:\n%s", store, log)
		}
		m.Kill()
	}
	if served > 1 {
		m.t.Fatal("both databases are served")
	}
}

// padding adds rows to a database, so that moving it takes a while.
func padding(t *testing.T, dir string, n int) {
	t.Helper()
	s, err := badgerstore.Open(badgerstore.Options{Dir: dir, Mark: dir + ".mark"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ops := make([]store.Op, 0, store.MaxOps)
	for i := range n {
		ops = append(ops, store.Op{Key: fmt.Appendf(nil, "x/%08d", i), Value: []byte(strings.Repeat("x", 1+i%2000)), Expires: time.Now().Add(time.Duration(1+i%100) * time.Hour)})
		if len(ops) == cap(ops) || i == n-1 {
			if err := s.Apply(t.Context(), ops...); err != nil {
				t.Fatal(err)
			}
			ops = ops[:0]
		}
	}
}

// TestMigrateUnseenGateway: a gateway that is asleep is not seen by a migration, and
// loses its database by it: nothing that it serves from then on is of the old one.
func TestMigrateUnseenGateway(t *testing.T) { overEngines(t, testMigrateUnseenGateway) }

func testMigrateUnseenGateway(t *testing.T, from string) {
	m, to := newMover(t), "store badger {\ndir GW_DIR/to\n}"
	if out, err := m.Command("step-up", "init", "--config", m.write(from)).CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	m.Run(m.on(from))
	k := m.newKeeper()
	k.StepUp(t, "PAY")
	pause(t, m.Pid())
	if out, err := m.migrate(from, to); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := syscall.Kill(m.Pid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for path, method := range map[string]string{"/pay": "POST", "/reports/1": "GET"} {
		if got := m.status(k, method, path); got != 503 {
			t.Errorf("%s at a gateway whose database was moved: %d", path, got)
		}
	}
	if log := m.Log(); !strings.Contains(log, "the database was moved to") {
		t.Errorf("the gateway does not say why it refuses:\n%s", log)
	}
	health, err := http.Get("http://" + m.Admin + "/step_up/health")
	if err != nil {
		t.Fatal(err)
	}
	defer health.Body.Close()
	if text, _ := io.ReadAll(health.Body); health.StatusCode != 503 || !strings.Contains(string(text), "the database was moved to") {
		t.Errorf("health: %s", text)
	}
	if err := m.Reload(m.on(from)); err == nil {
		t.Error("the configuration is loaded again")
	}
	m.Stop()
	m.Run(m.on(to))
	if got := m.status(k, "POST", "/pay"); got != 200 {
		t.Errorf("with the one-time grant, where the database is now: %d", got)
	}
	m.keeps(k)
}

// TestMigrateAbandoned: a migration from a shared database that was interrupted is
// given up, and nothing is void there, though its generation has ended.
func TestMigrateAbandoned(t *testing.T) {
	t.Run("postgres", func(t *testing.T) {
		url := newServer(t).database()
		testMigrateAbandoned(t, onPostgres(url), func() store.Store { return open(t, url) })
	})
	t.Run("etcd", func(t *testing.T) {
		s := newEtcd(t)
		testMigrateAbandoned(t, "store etcd {\nendpoints "+strings.Join(s.endpoints(), " ")+"\n}", func() store.Store {
			return openEtcd(t, etcd.Options{Endpoints: s.endpoints(), Stale: time.Second})
		})
	})
}

func testMigrateAbandoned(t *testing.T, from string, openFrom func() store.Store) {
	m, to := newMover(t), "store badger {\ndir GW_DIR/to\nmark GW_DIR/to.mark\n}"
	if out, err := m.Command("step-up", "init", "--config", m.write(from)).CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	m.Run(m.on(from))
	k := m.newKeeper()
	m.Stop()
	key, err := seal.LoadFile(m.key)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(m.Dir, "to")
	copied, err := badgerstore.Open(badgerstore.Options{Dir: dir, Mark: dir + ".mark"})
	if err != nil {
		t.Fatal(err)
	}
	original := openFrom()
	ctx, cancel := context.WithCancel(t.Context())
	_, err = migrate.Run(ctx, migrate.Options{
		From: migrate.Database{Name: "original", Store: original, Key: key},
		To:   migrate.Database{Name: "copy", Store: copied, Key: key},
		Tell: func(p migrate.Progress) {
			if p.Done {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	if err := errors.Join(original.Close(), copied.Close()); err != nil {
		t.Fatal(err)
	}
	m.refuses(from, "is being moved to copy")
	m.refuses(to, "is the incomplete copy of original")
	if out, err := m.migrate(from, to, "--abandon"); err != nil || !strings.Contains(out, "is empty") {
		t.Fatalf("%v\n%s", err, out)
	}
	m.Run(m.on(from))
	m.keeps(k)
	m.Stop()
	m.mustMigrate(from, to)
	m.Run(m.on(to))
	m.keeps(k)
}
