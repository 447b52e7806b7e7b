//go:build components

package cluster

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// racers use something at the same time.
const racers = 64

// TestS09OnceAmongGateways: a one-time grant, a held form, a code and a recovery code
// are each good for one of 64 uses at the same time, spread over three gateways.
// STEP_UP_LONG=1 makes 1,000 rounds, another number so many.
func TestS09OnceAmongGateways(t *testing.T) { overEngines(t, testOnceAmongGateways) }

func testOnceAmongGateways(t *testing.T, store string) {
	c := &rounds{nodes: nodesOn(t, store, 3), answers: map[string]map[int]int{}}
	c.transport = &http.Transport{MaxIdleConnsPerHost: racers}
	defer c.transport.CloseIdleConnections()
	began := time.Now()
	n := long(t, 5, 1000)
	for i := range n {
		if c.round(i); t.Failed() {
			break
		}
	}
	t.Logf("%d rounds of %d uses of each in %v; the answers: %v", n, racers, time.Since(began).Round(time.Second), c.answers)
}

type rounds struct {
	*nodes
	transport *http.Transport
	answers   map[string]map[int]int // how many were given, by status
}

// round lets one person use up a grant, a held form and a code, and another one a
// recovery code: wrong codes would keep the first from being asked for it.
func (c *rounds) round(n int) {
	alice := c.someone(fmt.Sprintf("alice%d", n))
	alice.StepUp(c.t, "PAY")
	c.paysOnce("grant", func(i int) int {
		return c.get(alice.Copy(c.gate(i)), "POST", "/pay", nil)
	})

	challenge, err := holdForm(alice, "/pay")
	if err != nil {
		c.t.Fatal(err)
	}
	resume, err := proveHeld(alice, challenge, alice.Code(c.t))
	if err != nil {
		c.t.Fatal(err)
	}
	c.paysOnce("held form", func(i int) int {
		return c.get(alice.Copy(c.gate(i)), "GET", resume, window)
	})

	c.verifiesOnce("code", alice, "totp", alice.Code(c.t))
	bob := c.someone(fmt.Sprintf("bob%d", n))
	c.verifiesOnce("recovery code", bob, "recovery_code", bob.RecoveryCodes[0])
}

// someone is enroll with connections that are used again.
func (c *rounds) someone(name string) *gateway.Person {
	p := c.newPerson(name)
	p.Client.Transport = c.transport
	p.Enroll(c.t, "")
	return p
}

func (c *rounds) gate(i int) *gateway.Gateway { return c.all[i%len(c.all)] }

// get returns the status that a request gets, and 0 for none.
func (c *rounds) get(p *gateway.Person, method, path string, header map[string]string) int {
	if header == nil {
		header = map[string]string{"Accept": "application/json"}
	}
	resp, _, err := p.Do(method, path, header, nil)
	if err != nil {
		c.t.Error(err)
		return 0
	}
	return resp.StatusCode
}

// verifiesOnce answers a challenge of its own in each of many browsers with one code.
func (c *rounds) verifiesOnce(what string, p *gateway.Person, method, code string) {
	c.t.Helper()
	var browsers [racers]*gateway.Person
	var challenges [racers]string
	c.together(func(i int) {
		var err error
		if browsers[i], err = browser(c.t, p, c.gate(i)); err == nil {
			challenges[i], err = browsers[i].Begin("PAY")
		}
		if err != nil {
			c.t.Error(err)
		}
	})
	if c.t.Failed() {
		return
	}
	c.once(what, func(i int) int {
		status, _ := browsers[i].Verify(challenges[i], method, code)
		return status
	})
}

// paysOnce is once for what the application must see once.
func (c *rounds) paysOnce(what string, use func(i int) int) {
	c.t.Helper()
	before := c.calls.Load()
	c.once(what, use)
	if n := c.calls.Load() - before; n != 1 {
		c.t.Errorf("%s: the application was asked %d times", what, n)
	}
}

// once has all use something at the same time, which succeeds for one and is refused
// to the others.
func (c *rounds) once(what string, use func(i int) int) {
	c.t.Helper()
	var statuses [racers]int
	c.together(func(i int) { statuses[i] = use(i) })
	if c.answers[what] == nil {
		c.answers[what] = map[int]int{}
	}
	passed := 0
	for i, status := range statuses {
		c.answers[what][status]++
		switch {
		case status == http.StatusOK:
			passed++
		case status < 300 || status >= 500:
			c.t.Errorf("%s: gateway %d answers %d", what, i%len(c.all)+1, status)
		}
	}
	if passed != 1 {
		c.t.Errorf("%s: %d passed", what, passed)
	}
}

// together calls f for all racers at the same time.
func (c *rounds) together(f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range racers {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}
