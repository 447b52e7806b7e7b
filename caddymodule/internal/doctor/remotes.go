package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/secret"
)

const (
	// patience is how long one server may take.
	patience = 4 * time.Second
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 1 << 20
	// clockSlack is how far the clock may be off: codes of an app are good for half a
	// minute, and one before and after.
	clockSlack = 30 * time.Second
)

// remotes asks the servers that the gateway depends on, all at once.
func (e *examination) remotes(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	p := &probe{examination: e, client: &http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
	}}
	for _, s := range e.sites {
		switch s.view.Identity {
		case "whoami":
			p.do(func() { p.whoami(ctx, s) })
		case "jwt":
			p.do(func() { p.issuer(ctx, s) })
		}
		for _, h := range s.before {
			if h.asks() {
				p.do(func() { p.upstreams(ctx, h, s) })
			}
		}
		for _, h := range s.after {
			if h.name == "reverse_proxy" && !h.asks() {
				p.do(func() { p.upstreams(ctx, h, s) })
			}
		}
	}
	app := e.doc.Apps.StepUp
	for setting, raw := range map[string][]byte{"sms_sender": app.SMSSender, "email_sender": app.EmailSender} {
		if len(raw) > 0 {
			p.do(func() { p.sender(ctx, app.at(setting), raw) })
		}
	}
	if e.in.Inspect != nil {
		p.do(func() { p.store(ctx) })
	}
	p.group.Wait()
	slices.SortFunc(p.found, func(a, b Finding) int { return strings.Compare(a.At+a.Code+a.Problem, b.At+b.Code+b.Problem) })
	for _, f := range p.found {
		e.add(f.Severity, f.Code, f.At, f.Problem, f.Advice)
	}
}

// probe asks servers concurrently.
type probe struct {
	*examination
	client *http.Client
	group  sync.WaitGroup
	mu     sync.Mutex
	found  []Finding
}

func (p *probe) do(f func()) { p.group.Go(f) }

func (p *probe) tell(s Severity, code, at, problem, advice string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found = append(p.found, Finding{s, code, problem, advice, at})
}

// answer is what a server answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// get asks a server, and compares the clocks.
func (p *probe) get(ctx context.Context, target, at string, header http.Header) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return answer{}, err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if host := header.Get("Host"); host != "" {
		r.Host = host
	}
	began := p.in.Now()
	resp, err := p.client.Do(r)
	if err != nil {
		return answer{}, cause(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer{}, cause(err)
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		off := began.Sub(date)
		if off.Abs() > clockSlack+patience {
			p.tell(Error, "clock-off", at, fmt.Sprintf("the clock here is %s off that of %s: codes of authenticator apps are refused, and tokens look expired or not yet valid",
				off.Abs().Round(time.Second), r.URL.Host), "let the clock be set by NTP, on whichever side is wrong")
		}
	}
	return answer{resp.StatusCode, resp.Header, body}, nil
}

// cause is the end of a chain of errors of the client, without the URL.
func cause(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer in time")
	}
	return err
}

// store asks the servers of a database that several gateways use.
func (p *probe) store(ctx context.Context) {
	at := p.doc.Apps.StepUp.at("store")
	found, ok, err := p.in.Inspect(ctx)
	switch {
	case err != nil:
		p.tell(Error, "store-unreadable", at, "the database cannot be asked: "+err.Error(), "check the settings of the store")
	case ok:
		for _, fault := range found.Faults {
			p.tell(map[bool]Severity{true: Error, false: Warning}[fault.Grave], fault.Code, at, fault.Problem, fault.Advice)
		}
		p.out.Store = &found
	}
}

// sender connects to where codes are handed over. Nothing is sent.
func (p *probe) sender(ctx context.Context, at string, raw []byte) {
	var address string
	encrypted := false
	switch word(raw, "sender") {
	case "webhook":
		target, err := secret.Resolve(word(raw, "url"))
		u, failed := url.Parse(target)
		if err != nil || failed != nil {
			return // refused, and told so
		}
		address, encrypted = hostPort(u), u.Scheme == "https"
	case "smtp":
		address, encrypted = word(raw, "server"), word(raw, "tls") == "implicit"
	default:
		return
	}
	if err := dial(ctx, address, encrypted); err != nil {
		p.tell(Error, "sender-unreachable", at, fmt.Sprintf("codes are handed to %s, which cannot be reached: %v", address, err), "check the address, the firewall, and whether it runs")
	}
}

// upstreams connects to what a reverse_proxy passes requests to.
func (p *probe) upstreams(ctx context.Context, h handler, s *site) {
	for _, d := range h.dials() {
		if strings.Contains(d, "{") {
			continue
		}
		err := dial(ctx, d, false)
		switch {
		case err == nil:
			return
		case h.asks():
			p.tell(Error, "auth-unreachable", h.path, fmt.Sprintf("forward_auth asks %s who is asking, which cannot be reached: %v", d, err), "check the address, and whether it runs")
		default:
			p.tell(Note, "application-unreachable", s.at(""), fmt.Sprintf("the application %s cannot be reached: %v", d, err), "start it")
		}
	}
}

// dial connects to an address, and shakes hands over TLS where it is spoken.
func dial(ctx context.Context, address string, encrypted bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix/"); ok {
		network, address = "unix", path
	}
	var c net.Conn
	var err error
	if encrypted {
		c, err = new(tls.Dialer).DialContext(ctx, network, address)
	} else {
		c, err = new(net.Dialer).DialContext(ctx, network, address)
	}
	if err != nil {
		return cause(err)
	}
	return c.Close()
}

// hostPort is the address of a URL's server.
func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	return net.JoinHostPort(u.Hostname(), map[bool]string{true: "443", false: "80"}[u.Scheme == "https"])
}
