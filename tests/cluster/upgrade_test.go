//go:build components

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// newerBuild builds a gateway whose records are those of a version to come: with
// members that this one does not know and, as STEP_UP_NEXT says, with a form that it
// cannot read or with what it must not write after. The sources are those of this one
// with a few lines changed.
func newerBuild(t *testing.T) string {
	t.Helper()
	root, dir := filepath.Join("..", ".."), t.TempDir()
	replaced := map[string]string{}
	put := func(name, text string) {
		path, err := filepath.Abs(filepath.Join(root, "internal", "records", name))
		if err != nil {
			t.Fatal(err)
		}
		replaced[path] = filepath.Join(dir, name)
		if err := os.WriteFile(replaced[path], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	put("newer.go", read(filepath.Join("newer", "newer.go.txt")))
	const member = "\tShade string `json:\"shade,omitempty\"`\n"
	for name, changes := range map[string][][2]string{
		"meta.go": {{"const writer = 1\n", "var writer = nextWriter()\n"}},
		"kinds.go": {
			{"\t// Set counts the changes to the set of authenticators.", member + "\t// Set counts the changes to the set of authenticators."},
			{"\t// SuspendedAt is when its owner said", member + "\t// SuspendedAt is when its owner said"},
		},
		"table.go": {
			{"\tplain, err := json.Marshal(value)\n", "\tshade(&value)\n\tplain, err := json.Marshal(value)\n"},
			{"AppendUint64([]byte{formOnce}, generation)", "AppendUint64([]byte{formOf(t.prefix)}, generation)"},
			{"(plain[0] == formOnce ||", "(plain[0] == formOnce || plain[0] == nextForm ||"},
			{"packed = plain[0] != formOnce\n", "packed = plain[0] != formOnce && plain[0] != nextForm\n"},
		},
	} {
		text := read(filepath.Join(root, "internal", "records", name))
		for _, c := range changes {
			if strings.Count(text, c[0]) != 1 {
				t.Fatalf("%s has no longer one line with %q", name, c[0])
			}
			text = strings.Replace(text, c[0], c[1], 1)
		}
		put(name, text)
	}
	overlay := filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": replaced})
	if err == nil {
		err = os.WriteFile(overlay, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return gateway.Binary(t, "-overlay", overlay)
}

// rolling is people who use gateways of which one is replaced at a time. What they
// send goes to one that is not being replaced, and is not sent again.
type rolling struct {
	*nodes
	out            []atomic.Bool // by gateway
	sent, lost, at atomic.Int64
	running        sync.WaitGroup
}

// begin lets some people begin, until ctx ends.
func (r *rolling) begin(ctx context.Context) {
	for w := range 6 {
		r.running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				at := 0
				p := r.newPerson(fmt.Sprintf("w%d-%d", w, n))
				p.Before = func(p *gateway.Person) {
					for at = int(r.at.Add(1)) % len(r.all); r.out[at].Load(); {
						at = int(r.at.Add(1)) % len(r.all)
					}
					r.sent.Add(1)
					p.At(r.all[at])
				}
				err := r.journey(p)
				switch {
				case err == nil:
				case r.out[at].Load():
					r.lost.Add(1)
				default:
					r.t.Errorf("gateway %d: %v", at+1, err)
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
}

// journey is what one person does, over all gateways.
func (r *rolling) journey(p *gateway.Person) error {
	if err := p.TryEnroll(r.t, ""); err != nil {
		return err
	}
	want := func(method, path string, status int) error {
		resp, _, err := p.Do(method, path, map[string]string{"Accept": "application/json"}, nil)
		if err == nil && resp.StatusCode != status {
			err = fmt.Errorf("%s %s: %d, want %d", method, path, resp.StatusCode, status)
		}
		return err
	}
	err := p.TryStepUp(r.t, "VIEW_REPORTS")
	for range 6 {
		if err == nil {
			err = want("GET", "/reports/1", 200)
		}
	}
	if err == nil {
		err = p.TryStepUp(r.t, "PAY")
	}
	if err == nil {
		err = want("POST", "/pay", 200)
	}
	if err == nil {
		err = want("POST", "/pay", 401)
	}
	return err
}

// replace lets another build take the place of a gateway.
func (r *rolling) replace(i int, binary string) {
	r.out[i].Store(true)
	r.all[i].Stop()
	r.all[i].Use(binary)
	r.all[i].Run(r.file)
	r.out[i].Store(false)
	time.Sleep(time.Second)
}

// stored returns what is stored of somebody's account.
func (r *rolling) stored(url, name string) string {
	r.t.Helper()
	st := open(r.t, url)
	defer st.Close()
	key, err := seal.LoadFile(regexp.MustCompile(`key \{file\.(.*)\}`).FindStringSubmatch(r.file)[1])
	if err != nil {
		r.t.Fatal(err)
	}
	ring, err := seal.NewRing(key)
	if err != nil {
		r.t.Fatal(err)
	}
	for after := []byte(nil); ; {
		some, err := st.List(r.t.Context(), []byte("s/"), after, 500)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, e := range some {
			after = e.Key
			plain, err := ring.Open(e.Value, e.Key)
			if err != nil {
				r.t.Fatal(err)
			}
			if strings.Contains(string(plain), `"user":"`+name+`"`) {
				return string(plain[1:])
			}
		}
		if len(some) == 0 {
			r.t.Fatalf("nothing is stored of %s", name)
		}
	}
}

// TestRollingUpgrade: three gateways are replaced one after the other by a newer build,
// whose records have members that this one does not know. No request fails but those at
// the gateway that stops, and the members stay in what older gateways write.
func TestRollingUpgrade(t *testing.T) {
	newer, url := newerBuild(t), newServer(t).database()
	r := &rolling{nodes: newNodes(t, url, 3)}
	r.out = make([]atomic.Bool, len(r.all))
	ctx, stop := context.WithCancel(t.Context())
	r.begin(ctx)
	defer r.running.Wait()
	defer stop()
	time.Sleep(time.Second)
	r.replace(0, newer)

	// An account that the newer one made is changed by an older one, and the other way.
	at := func(p *gateway.Person, i int) *gateway.Person {
		p.Before = nil
		return p.At(r.all[i])
	}
	alice, bob := r.newPerson("alice"), r.newPerson("bob")
	at(alice, 0).Enroll(t, "")
	made := r.stored(url, "alice")
	at(alice, 1).StepUp(t, "VIEW_REPORTS")
	if got := r.status(at(alice, 0), "GET", "/reports/1"); got != 200 {
		t.Errorf("the newer gateway answers %d to a grant that the older one gave", got)
	}
	changed := r.stored(url, "alice")
	if n := strings.Count(changed, `"shade":"violet"`); changed == made || n != 2 {
		t.Errorf("the older gateway made\n%s\nof\n%s", changed, made)
	}
	at(bob, 2).Enroll(t, "")
	if strings.Contains(r.stored(url, "bob"), "shade") {
		t.Fatal("the older gateway is the newer one")
	}
	at(bob, 0).StepUp(t, "PAY")
	if got := r.status(at(bob, 2), "POST", "/pay"); got != 200 {
		t.Errorf("the older gateway answers %d to a grant that the newer one gave", got)
	}
	r.formIsTold(newer)
	r.replace(1, newer)
	r.replace(2, newer)
	stop()
	r.running.Wait()
	t.Logf("%d requests, of which %d failed, all at the gateway that stopped", r.sent.Load(), r.lost.Load())
	r.writerIsDemanded(newer, url)
}

// next starts a gateway of the newer build that does more.
func (r *rolling) next(newer, what string) *gateway.Gateway {
	g := gateway.New(r.t, gateway.Options{Upstream: r.upstream, Binary: newer, Env: []string{"STEP_UP_NEXT=" + what}})
	g.Run(r.file)
	return g
}

// formIsTold: a record whose form is that of a newer version is no damage.
func (r *rolling) formIsTold(newer string) {
	t := r.t
	g, old := r.next(newer, "form"), r.all[2]
	defer g.Stop()
	carol := r.newPerson("carol")
	carol.Before = nil
	carol.At(old).Enroll(t, "")
	challenge, err := carol.At(g).Begin("PAY")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := carol.At(old).Verify(challenge, "totp", carol.Code(t)); got != 503 {
		t.Errorf("a challenge that cannot be read gets %d", got)
	}
	until(t, "the log says that a newer version made it", func() bool {
		return strings.Contains(old.Log(), "the database was made by a newer version of the gateway: a record has form")
	})
	if got, err := carol.At(g).Verify(challenge, "totp", carol.Code(t)); got != 200 {
		t.Errorf("the gateway that wrote it: %v", err)
	}
}

// writerIsDemanded: once the database demands a newer version, others refuse, write
// nothing and do not start.
func (r *rolling) writerIsDemanded(newer, url string) {
	t := r.t
	g := r.next(newer, "writer")
	if got := r.status(r.newPerson("nobody").Copy(g), "GET", "/reports/1"); got != 401 {
		t.Errorf("the newer gateway: %d", got)
	}
	const why = "the database was made by a newer version of the gateway: it needs one of version"
	for i, old := range r.all {
		x := r.newPerson("dave").Copy(old)
		r.eventually(x, "GET", "/reports/1", http.StatusServiceUnavailable)
		if got := r.status(x, "GET", "/"); got != 200 {
			t.Errorf("gateway %d: what is not protected gets %d", i+1, got)
		}
		if x.TryEnroll(t, "") == nil {
			t.Errorf("gateway %d writes what it must not", i+1)
		}
		until(t, "the log says why it refuses", func() bool { return strings.Contains(old.Log(), why) })
	}
	if said := refused(t, r.file); !strings.Contains(said, why) {
		t.Errorf("an older gateway that starts says:\n%s", said)
	}
	if got := r.status(r.newPerson("nobody").Copy(g), "GET", "/reports/1"); got != 401 {
		t.Errorf("the newer gateway, afterwards: %d", got)
	}
}
