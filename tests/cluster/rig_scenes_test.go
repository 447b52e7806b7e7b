//go:build components

package cluster

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/cluster/rig"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// spend uses a one-time grant at all gateways at once, and again later.
func (p *people) spend(ctx context.Context) {
	x, cookies := p.withGrant("PAY")
	if x == nil {
		return
	}
	use := func(i int) {
		attempt := fmt.Sprintf("%s/%d", x.Name, p.names.Add(1))
		p.grants.Do(rig.Op{Of: x.Name, At: gate(i)}, func() rig.Outcome {
			_, outcome := p.ask(i, x.Name, cookies, "POST", "/pay?once="+x.Name, attempt, nil)
			return outcome
		})
	}
	p.everywhere(2, use)
	p.pause(ctx, 300*time.Millisecond)
	use(rand.IntN(len(p.gates)))
	p.later(use)
}

// verifyAt answers a challenge of a new browser at a gateway, and records it.
func (p *people) verifyAt(h *rig.History, op rig.Op, x *gateway.Person, i int, method, code string) {
	b, err := browser(p.t, x, p.gates[i])
	if err != nil {
		return
	}
	id, err := b.Begin("PAY")
	if err != nil {
		return
	}
	op.At = gate(i)
	h.Do(op, func() rig.Outcome {
		status, _ := b.Verify(id, method, code)
		return outcome(status)
	})
}

// useCode gives a code of an authenticator app at all gateways at once, then a newer
// one, and the first one again.
func (p *people) useCode(ctx context.Context) {
	x, err := p.someone()
	if err != nil {
		return
	}
	var codes [2]string
	for step := range codes {
		codes[step] = x.Code(p.t)
		p.everywhere(1, func(i int) {
			p.verifyAt(p.codes, rig.Op{Of: x.Name, Step: step + 1}, x, i, "totp", codes[step])
		})
		p.pause(ctx, 200*time.Millisecond)
	}
	step := rand.IntN(len(codes))
	once := func(i int) {
		p.verifyAt(p.codes, rig.Op{Of: x.Name, Step: step + 1}, x, i, "totp", codes[step])
	}
	once(rand.IntN(len(p.gates)))
	p.later(once)
}

// useRecoveryCode gives a recovery code at all gateways at once, and again later.
func (p *people) useRecoveryCode(ctx context.Context) {
	x, err := p.someone()
	if err != nil {
		return
	}
	use := func(i int) {
		p.verifyAt(p.recovery, rig.Op{Of: x.Name}, x, i, "recovery_code", x.RecoveryCodes[0])
	}
	p.everywhere(1, use)
	p.pause(ctx, 300*time.Millisecond)
	use(rand.IntN(len(p.gates)))
	p.later(use)
}

// window is what a browser sends when somebody follows a link or sends a form.
var window = map[string]string{"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document"}

// holdForm sends a form, which is held, and returns the challenge that it meets.
func holdForm(x *gateway.Person, path string) (challenge string, err error) {
	return holdThisForm(x, path, "amount=1")
}

func holdThisForm(x *gateway.Person, path, form string) (challenge string, err error) {
	header := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for name, value := range window {
		header[name] = value
	}
	resp, _, err := x.Do("POST", path, header, strings.NewReader(form))
	if err != nil {
		return "", err
	}
	id, ok := strings.CutPrefix(resp.Header.Get("Location"), "/.step-up/challenge/")
	if !ok {
		return "", fmt.Errorf("the form gets %s to %q", resp.Status, resp.Header.Get("Location"))
	}
	return id, nil
}

// proveHeld proves for a held form, and returns where it is sent on.
func proveHeld(x *gateway.Person, challenge, code string) (resume string, err error) {
	var won struct {
		ResumeURL string `json:"resume_url"`
	}
	_, err = x.API("POST", "/challenges/"+challenge+"/verify", map[string]string{"method": "totp", "code": code}, &won)
	if err == nil && !strings.Contains(won.ResumeURL, "step_up_resume=") {
		err = fmt.Errorf("nothing is held: the way back is %q", won.ResumeURL)
	}
	return won.ResumeURL, err
}

// resume lets a form be held, and comes back for it at all gateways at once.
func (p *people) resume(ctx context.Context) {
	x, err := p.someone()
	if err != nil {
		return
	}
	id, err := holdForm(x, "/pay?once=held-"+x.Name)
	if err != nil {
		return
	}
	resume, err := proveHeld(x, id, x.Code(p.t))
	if err != nil {
		return
	}
	cookies := p.cookies(x)
	use := func(i int) {
		p.held.Do(rig.Op{Of: x.Name, At: gate(i)}, func() rig.Outcome {
			_, outcome := p.ask(i, x.Name, cookies, "GET", resume, "", window)
			return outcome
		})
	}
	p.everywhere(2, use)
	p.pause(ctx, 300*time.Millisecond)
	use(rand.IntN(len(p.gates)))
	p.later(use)
}

// revoke takes a grant away that is in use at all gateways: the grant alone, or all
// that the person has.
func (p *people) revoke(ctx context.Context) {
	x, cookies := p.withGrant("VIEW_REPORTS")
	if x == nil {
		return
	}
	use := func(i int) {
		attempt := fmt.Sprintf("%s/%d", x.Name, p.names.Add(1))
		p.revoked.Do(rig.Op{Of: x.Name, At: gate(i)}, func() rig.Outcome {
			_, outcome := p.ask(i, x.Name, cookies, "GET", "/reports/1", attempt, nil)
			return outcome
		})
	}
	reading, stop := context.WithCancel(context.Background())
	var readers sync.WaitGroup
	for i := range p.gates {
		readers.Go(func() {
			for reading.Err() == nil {
				use(i)
				p.pause(reading, 40*time.Millisecond)
			}
		})
	}
	p.pause(ctx, 500*time.Millisecond)
	route := []string{"revoke", "reset"}[rand.IntN(2)]
	taken := false
	for end := time.Now().Add(20 * time.Second); !taken && time.Now().Before(end) && ctx.Err() == nil; {
		taken = p.take(x, route, rand.IntN(len(p.gates))) == rig.Done
		if !taken {
			p.pause(ctx, 200*time.Millisecond)
		}
	}
	p.pause(ctx, 2*time.Second)
	stop()
	readers.Wait()
	p.later(use)
	if route == "reset" && taken {
		code := x.Code(p.t)
		p.later(func(i int) { p.verifyAt(p.resets, rig.Op{Of: x.Name}, x, i, "totp", code) })
	}
}

// take calls an operator's route about the person at a gateway.
func (p *people) take(x *gateway.Person, route string, i int) rig.Outcome {
	op := rig.Op{Verb: rig.Revoke, Of: x.Name, At: gate(i)}
	op.Began = p.revoked.Now()
	resets := p.resets.Now()
	body := fmt.Appendf(nil, `{"user":%q}`, x.Name)
	if resp, err := p.client.Post("http://"+p.gates[i].Admin+"/step_up/"+route, "application/json", bytes.NewReader(body)); err == nil {
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			op.Outcome = rig.Done
		}
	}
	op.Ended = p.revoked.Now()
	p.revoked.Add(op)
	if route == "reset" {
		op.Began, op.Ended = resets, p.resets.Now()
		p.resets.Add(op)
	}
	return op.Outcome
}

// gap is the longest time between two of the times, between from and to.
func gap(times []time.Time, from, to time.Time) (longest time.Duration) {
	times = slices.Clone(times)
	slices.SortFunc(times, time.Time.Compare)
	last := from
	for _, at := range times {
		if at.Before(from) || at.After(to) {
			continue
		}
		longest = max(longest, at.Sub(last))
		last = at
	}
	return max(longest, to.Sub(last))
}

// summary says how much was done.
func (p *people) summary() string {
	var b strings.Builder
	all := 0
	for _, one := range []struct {
		name string
		h    *rig.History
	}{
		{"uses of one-time grants", p.grants}, {"codes", p.codes}, {"recovery codes", p.recovery}, {"returns for held forms", p.held},
		{"uses of grants that are revoked, and revocations", p.revoked}, {"codes of people who were reset, and resets", p.resets}, {"requests without a proof", p.unproved},
	} {
		var n [3]int
		for _, op := range one.h.Ops() {
			n[op.Outcome]++
			all++
		}
		fmt.Fprintf(&b, "%7d %s: %d done, %d refused, %d unknown\n", n[0]+n[1]+n[2], one.name, n[rig.Done], n[rig.Refused], n[rig.Unknown])
	}
	fmt.Fprintf(&b, "%7d operations; the latest use after a revocation began %v after it", all, p.latest().Round(time.Millisecond))
	return b.String()
}

// latest is how long after an acknowledged revocation a use began that was still
// done, at most.
func (p *people) latest() (longest time.Duration) {
	ended := map[string]time.Duration{}
	ops := p.revoked.Ops()
	for _, op := range ops {
		if op.Verb == rig.Revoke && op.Outcome == rig.Done {
			ended[op.Of] = op.Ended
		}
	}
	for _, op := range ops {
		if at, ok := ended[op.Of]; ok && op.Verb == rig.Use && op.Outcome == rig.Done {
			longest = max(longest, op.Began-at)
		}
	}
	return longest
}
