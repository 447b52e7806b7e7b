//go:build components

package judges

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

const global = `{
	admin GW_ADMIN
	persist_config off
	auto_https off
	step_up {
		issuer "Test"
		store badger {
			dir GW_DIR/data
		}
		key_file GW_DIR/key
		enrollment first_use
		totp {
			skew 2
		}
		allow_plain_http
	}
}
`

// rules are what an operator would write for the judges' handlers; the action
// types are the names that the handlers report.
const rules = `	vars user {http.request.header.X-Test-User}
	@do path *.do
	step_up {
		tenant t
		identity placeholder {http.vars.user}
		protect ADMIN /admin /admin/* /admin.php /admin.php/* {
			grant time_based 1h
		}
		protect TRANSFER /transfer/* {
			grant time_based 1h
		}
		protect VIEW /view/* {
			grant time_based 1h
		}
		protect EXACT /exact {
			grant time_based 1h
		}
		protect ERASE /item/* {
			match {
				method DELETE
			}
			grant time_based 1h
		}
		protect SUFFIX @do {
			grant time_based 1h
		}
		protect FORM /app /app.php {
			form op withdraw pay
			grant time_based 1h
		}
		protect RPC /rpc /rpc.php {
			json /method torrent-remove
			grant time_based 1h
		}
		protect NEG /neg /neg.php {
			form op not login
			grant time_based 1h
		}
		protect RPCNEG /rpcneg /rpcneg.php {
			json /method not torrent-get
			grant time_based 1h
		}
	}
`

// court is all judges with a gateway before them, and without.
type court struct {
	judges        []judge
	front, direct map[string]string // addresses by name
	cookie        string            // of mallory, who holds VIEW's grant
	g             *gateway.Gateway
}

func open(t *testing.T) *court {
	s := servers(t)
	c := &court{judges: s.judges, front: map[string]string{}, direct: map[string]string{}}
	config := global
	for i, j := range c.judges {
		front, direct := freeport.Find(s.t), freeport.Find(s.t)
		if i == 0 {
			front = "GW_PORT"
		}
		c.front[j.name], c.direct[j.name] = "127.0.0.1:"+front, "127.0.0.1:"+direct
		config += fmt.Sprintf("http://:%s {\n\tbind 127.0.0.1\n%s\t%s\n}\n", front, rules, j.serve)
		if addr, ok := strings.CutPrefix(j.serve, "reverse_proxy 127"); ok && !strings.Contains(addr, "\n") {
			c.direct[j.name] = "127" + addr
		} else {
			config += fmt.Sprintf("http://:%s {\n\tbind 127.0.0.1\n\t%s\n}\n", direct, j.serve)
		}
	}
	c.g = gateway.Start(t, config, gateway.Options{})
	c.front[c.judges[0].name] = c.g.Host
	p := c.g.NewPerson("mallory")
	p.Enroll(t, "")
	p.StepUp(t, "VIEW")
	req, err := http.NewRequest("GET", c.g.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	var cookies []string
	for _, k := range p.Client.Jar.Cookies(req.URL) {
		cookies = append(cookies, k.Name+"="+k.Value)
	}
	c.cookie = strings.Join(cookies, "; ")
	return c
}

// TestS06Judges sends targets and bodies of the grammar to every judge, straight
// and through the gateway, and counts what ran.
func TestS06Judges(t *testing.T) {
	t.Logf("seed %d, %d targets and %d bodies for each judge", seed, amount, amount)
	c := open(t)
	for _, j := range c.judges {
		if !only.MatchString(j.name) {
			continue
		}
		t.Run(j.name, func(t *testing.T) {
			t.Run("targets", func(t *testing.T) {
				g := newGenerator("targets", j.name)
				c.try(t, j, 100, func() request { return g.aimed() })
			})
			if j.deaf {
				return
			}
			t.Run("bodies", func(t *testing.T) {
				g := newGenerator("bodies", j.name)
				c.try(t, j, 100, func() request { return g.fielded(j.suffix) })
			})
		})
	}
}

// A tally is what ran, by handler, and what was answered, by status.
type tally struct {
	sync.Mutex
	straight, through map[string]int
	statuses          map[int]int
	silent            int
	shown             int
}

// try sends requests by three ways: straight, through the gateway as nobody, and
// through it with VIEW's grant.
func (c *court) try(t *testing.T, j judge, meaningful int, next func() request) {
	begun := time.Now()
	sum := &tally{straight: map[string]int{}, through: map[string]int{}, statuses: map[int]int{}}
	requests := make(chan request)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			front, direct := &client{addr: c.front[j.name]}, &client{addr: c.direct[j.name], hasty: true}
			defer front.close()
			defer direct.close()
			for r := range requests {
				c.judge(t, j, sum, r, front, direct)
			}
		})
	}
	for range amount {
		requests <- next()
	}
	close(requests)
	workers.Wait()

	reached := 0
	for _, n := range sum.straight {
		reached += n
	}
	got := 0
	for handler, n := range sum.through {
		if handler != "VIEW" {
			got += n
		}
	}
	t.Logf("%d sent in %v: straight %d ran a protected handler %v; through the gateway %d %v; its answers: %v, none %d",
		amount, time.Since(begun).Round(time.Millisecond), reached, sum.straight, got, sum.through, sum.statuses, sum.silent)
	if reached*meaningful < amount {
		t.Errorf("only %d of %d requests run a protected handler of this server by itself: too few to prove anything", reached, amount)
	}
	if sum.silent*20 > amount {
		t.Errorf("the gateway left %d requests without an answer", sum.silent)
	}
}

// protected reports whether a handler is one that a rule is about.
func protected(handler string) bool { return handler != "" && handler != "PUBLIC" }

func (c *court) judge(t *testing.T, j judge, sum *tally, r request, front, direct *client) {
	straight, _ := direct.send(r.method, r.bytes(direct.addr))
	nobody, err := front.send(r.method, r.bytes(front.addr, [2]string{"Accept", "application/json"}))
	holder, err2 := front.send(r.method, r.bytes(front.addr, [2]string{"Accept", "application/json"}, [2]string{gateway.Header, "mallory"}, [2]string{"Cookie", c.cookie}))

	sum.Lock()
	defer sum.Unlock()
	if protected(straight.ran) {
		sum.straight[straight.ran]++
	}
	for _, e := range []error{err, err2} {
		if e != nil {
			sum.silent++
		}
	}
	sum.statuses[nobody.status]++
	for _, a := range []answer{nobody, holder} {
		if protected(a.ran) {
			sum.through[a.ran]++
		}
	}
	var fault string
	switch {
	case byDecision(r, nobody.ran) || byDecision(r, holder.ran):
		return
	case protected(nobody.ran):
		fault = "nobody ran " + nobody.ran
	case protected(holder.ran) && holder.ran != "VIEW":
		fault = "VIEW's grant ran " + holder.ran
	default:
		return
	}
	if sum.shown++; sum.shown <= 25 {
		t.Errorf("%s:\n%q", fault, r.bytes("gateway.test"))
	}
	record(t, j, fault, r)
}

// record appends what got through to the file that JUDGES_OUT names.
func record(t *testing.T, j judge, fault string, r request) {
	path := os.Getenv("JUDGES_OUT")
	if path == "" {
		return
	}
	f, err := os.OpenFile(filepath.Clean(path), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fmt.Fprintf(f, "%s\t%s\t%q\n", j.name, fault, r.bytes("gateway.test"))
}

// TestGenerators holds the generators to what the seed promises: the same
// requests, and few twice.
func TestGenerators(t *testing.T) {
	draw := func(kind string) (all []string) {
		g := newGenerator(kind, "x")
		for range 2000 {
			r := g.aimed()
			if kind == "bodies" {
				r = g.fielded("")
			}
			all = append(all, string(r.bytes("h")))
		}
		return all
	}
	for _, kind := range []string{"targets", "bodies"} {
		one := draw(kind)
		if !slices.Equal(one, draw(kind)) {
			t.Errorf("%s: the same seed makes other requests", kind)
		}
		seen := map[string]bool{}
		for _, s := range one {
			seen[s] = true
		}
		if n := len(slices.Collect(maps.Keys(seen))); n < 1500 {
			t.Errorf("%s: only %d of 2000 differ", kind, n)
		}
	}
}
