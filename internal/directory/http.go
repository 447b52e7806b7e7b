package directory

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/identity/outbound"
)

// Options make an HTTP.
type Options struct {
	// URL of a user, absolute; Placeholder stands once for the id, in the path or
	// the query.
	URL string
	// Fields are sent with every question.
	Fields  http.Header
	Timeout time.Duration
	// Cache is how long an answer holds. That there is no such user is remembered
	// for at most maxAbsent: they may be added meanwhile.
	Cache time.Duration
}

// Placeholder stands for the user id in the URL of a directory.
const Placeholder = "{user}"

// The limits of an HTTP.
const (
	maxFields = 32
	maxAbsent = 5 * time.Second
	maxCached = 10_000
	maxBody   = 64 << 10 // bytes of an answer that are read, and not looked at
	maxConns  = 8
)

// HTTP is a directory that another server keeps: GET of the user's URL is answered
// with 200 where there is the user and with 404 where there is none. Every other
// answer, one that comes too late, and a redirect, which is not followed, are
// errors.
type HTTP struct {
	o      Options
	client *outbound.Client
	now    func() time.Time

	mu    sync.Mutex
	known map[string]known
}

// known is an answer of before.
type known struct {
	found bool
	until time.Time
}

// NewHTTP returns the directory of a server, which is not asked yet.
func NewHTTP(o Options, now func() time.Time) (*HTTP, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	return &HTTP{
		o: o, now: now, known: make(map[string]known),
		client: outbound.New(outbound.Limits{Timeout: o.Timeout, Body: maxBody, Conns: maxConns}),
	}, nil
}

// Close closes the connections that are not in use.
func (h *HTTP) Close() { h.client.Close() }

// Check returns the first thing that is wrong with o, as a sentence.
func (o *Options) Check() error {
	u, err := url.Parse(strings.ReplaceAll(o.URL, Placeholder, "user"))
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.User != nil, u.Fragment != "":
		return errors.New("the URL of the directory must be absolute, as in https://hr.example.com/users/" + Placeholder)
	case strings.Count(o.URL, Placeholder) != 1:
		return errors.New("the URL of the directory must have " + Placeholder + " once, where the user id goes: https://hr.example.com/users/" + Placeholder)
	case strings.Contains(strings.SplitN(o.URL, "/", 4)[2], "{"):
		return errors.New("the URL of the directory must have " + Placeholder + " in its path or query: the host may not depend on a name")
	}
	return o.checkFields()
}

// reserved are the fields that make HTTP work.
var reserved = []string{
	"Accept-Encoding", "Connection", "Content-Length", "Content-Type", "Expect", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Range",
	"If-Modified-Since", "If-None-Match", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

func (o *Options) checkFields() error {
	if len(o.Fields) > maxFields {
		return fmt.Errorf("at most %d header fields can be sent", maxFields)
	}
	for name, values := range o.Fields {
		switch {
		case !isToken(name):
			return fmt.Errorf("%q is not the name of a header field", name)
		case slices.Contains(reserved, textproto.CanonicalMIMEHeaderKey(name)):
			return fmt.Errorf("the field %s cannot be set: it makes HTTP work", name)
		case len(values) != 1:
			return fmt.Errorf("the field %s is set twice", name)
		case strings.ContainsFunc(values[0], func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return fmt.Errorf("the value of %s has a control character in it", name)
		}
	}
	return nil
}

// isToken reports whether s can name a header field (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	})
}

// Lookup asks the server, unless it did lately.
func (h *HTTP) Lookup(ctx context.Context, user User) (Answer, error) {
	target, ok := h.target(user.ID)
	if !ok {
		return Answer{}, nil
	}
	if k, ok := h.remembered(user.ID); ok {
		return Answer{Found: k.found}, nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return Answer{}, errors.New("asking directory: the URL cannot be read") // err quotes it
	}
	for name, values := range h.o.Fields {
		if http.CanonicalHeaderKey(name) == "Host" {
			r.Host = values[0]
			continue
		}
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	status, _, err := h.client.Tell(r)
	switch {
	case err != nil:
		return Answer{}, fmt.Errorf("asking directory: %w", err)
	case status != http.StatusOK && status != http.StatusNotFound:
		return Answer{}, fmt.Errorf("asking directory: it answered %d, and only 200 and 404 are answers", status)
	}
	found := status == http.StatusOK
	h.remember(user.ID, found)
	return Answer{Found: found}, nil
}

// target is the URL of a user. There is none of an id that servers would read as
// steps through a path.
func (h *HTTP) target(id string) (string, bool) {
	before, after, _ := strings.Cut(h.o.URL, Placeholder)
	if strings.Contains(before, "?") {
		return before + url.QueryEscape(id) + after, true
	}
	for _, step := range strings.FieldsFunc(id, func(r rune) bool { return r == '/' || r == '\\' }) {
		if step == "." || step == ".." {
			return "", false
		}
	}
	return before + url.PathEscape(id) + after, true
}

func (h *HTTP) remembered(id string) (known, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k, ok := h.known[id]
	return k, ok && h.now().Before(k.until)
}

func (h *HTTP) remember(id string, found bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.known) >= maxCached {
		clear(h.known) // each is asked for again
	}
	holds := h.o.Cache
	if !found {
		holds = min(holds, maxAbsent)
	}
	h.known[id] = known{found, h.now().Add(holds)}
}
