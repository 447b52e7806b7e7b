package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// The grant types a rule may ask for.
const (
	GrantOneTime   = "one_time"
	GrantTimeBased = "time_based"
)

// What a rule does.
const (
	ModeEnforce = "enforce"
	ModeObserve = "observe"
)

// AcceptAPI lets a rule take grants that servers won over the API.
const AcceptAPI = "api"

// Lifetimes of grants.
const (
	DefaultOneTime   = Duration(2 * time.Minute)
	DefaultTimeBased = Duration(10 * time.Minute)
	MinGrant         = Duration(time.Second)
	MaxGrant         = Duration(24 * time.Hour)
)

// Matchers is one set of request matchers by name, each in its own JSON form;
// a request has to match every one.
type Matchers map[string]json.RawMessage

// Rule is one protected action: which requests, and what proof.
//
// A request falls under it when it matches On, and one of Match where there are
// any, and is unsafe where Unsafe is set, and is not under Except, and has all
// that Form and JSON ask for. A rule says at least one of Any, On, Match and
// Unsafe.
//
// Form and JSON are looked at last, and in query, form and JSON body alike, since
// many applications take their parameters from any of them. Names and values are
// compared as the most tolerant application does: without case, - as _, without
// blanks, quotes, slashes and backslashes in front. Where it cannot be told what a
// body holds (it is compressed, in another charset, neither a form nor JSON by the
// letter: XML, YAML, MessagePack, an upload, plain text), the rule counts as
// matching, and so do those behind it that cover the request; where they name
// other actions, the request needs the grants for all of them. So does one in which
// a field has other values too (twice in a form, in query and body, in the elements
// of a batch), or is not spelled as it is here, so that one application takes the
// rule's value and another does not. Of a body the first 256 KiB are looked through,
// and of those who are signed in as much as is held; a larger one may be anything.
//
// A person is asked for the missing grants one after the other, and sends the form
// again in between: a form is held only for the last one. A one-time grant is used
// up only where no other grant is missing.
//
// A path that ends in /* also covers the path without the slash: /admin/* covers
// /admin, in On and in Match. In Except it does not.
type Rule struct {
	// Action is the action type, the name under which a grant is given and
	// kept: 1 to 64 of A–Z a–z 0–9 _ . -. Names beginning with step_up. are
	// the gateway's own.
	Action string `json:"action"`

	// Any says that every request of the site is meant.
	Any bool `json:"any,omitempty"`

	// On is a matcher set that has to match. The Caddyfile's paths and @name
	// stand here.
	On Matchers `json:"on,omitempty"`

	// Match is a list of matcher sets, one of which has to match, besides On.
	Match []Matchers `json:"match,omitempty"`

	// Unsafe narrows the rule to everything but GET, HEAD, OPTIONS and TRACE;
	// upgrades and CONNECT count as unsafe.
	Unsafe bool `json:"unsafe,omitempty"`

	// UnsafeNot are further methods that Unsafe takes for safe, such as PROPFIND
	// and REPORT of WebDAV, which only read. A request that an override (a header,
	// _method) may turn into another method, or that asks for an upgrade, is not
	// spared. Methods that the IANA registry calls unsafe, and CONNECT, are
	// refused. Only together with Unsafe. Default: none.
	UnsafeNot []string `json:"unsafe_not,omitempty"`

	// Except are paths that the rule does not cover: /login, or /assets/* for
	// everything below. A request is only excepted if it is under every
	// reading of its path.
	Except []string `json:"except,omitempty"`

	// Form are fields that a request must have in its query or its body, all of
	// them, to fall under the rule; or, with Not, must not have with a harmless
	// value.
	Form []FormMatch `json:"form,omitempty"`

	// JSON are values that a request must have in a JSON body, all of them, to
	// fall under the rule; or, with Not, must not have with a harmless value.
	JSON []JSONMatch `json:"json,omitempty"`

	// Show are fields, by name or JSON pointer, that the challenge shows with
	// what the request has in them. The grant is then good for exactly that
	// request (site, method, URL, body) and for no other. A request that cannot
	// be shown in full is refused. Default: none.
	Show []string `json:"show,omitempty"`

	// ShowLabels are what the challenge calls fields of Show, by their name or
	// pointer, in place of it. Up to 100 bytes each. Default: the name.
	ShowLabels map[string]string `json:"show_labels,omitempty"`

	// Grant is one_time (the proof opens one request) or time_based (it opens
	// the action for TTL).
	Grant string `json:"grant"`

	// TTL is how long a grant is good for, counted from the proof, never
	// prolonged by use. 1 s to 24 h. Default: one_time 2 min, time_based
	// 10 min.
	TTL Duration `json:"ttl,omitempty"`

	// Methods are the accepted ways to pass, by the names that [App.Methods] lists,
	// such as passkey and totp. Those that are not named are refused, recovery
	// codes too: who loses the last passkey cannot pass `methods passkey` until
	// another is set up. Default: all that are configured.
	Methods []string `json:"methods,omitempty"`

	// Accept is api where a grant does too that a server won for the same user
	// over the API for servers (step_up_api), within what the rule asks
	// otherwise. Such a grant knows no login session, and does not end with one.
	// Not together with Show: servers do not see the request. Default: grants
	// that were won on this gateway's pages only.
	Accept []string `json:"accept,omitempty"`

	// Mode is enforce, or observe: the rule then only counts and logs the
	// requests that it would ask a proof for, and later rules are tried as if it
	// were not there. The body is read for Form and JSON all the same, and the
	// identity source is asked for each request that is logged. Default: enforce.
	Mode string `json:"mode,omitempty"`

	// Label is what the pages call the action. Up to 100 bytes. Default: the
	// action type.
	Label string `json:"label,omitempty"`
}

func (r Rule) withDefaults() Rule {
	if r.TTL == 0 {
		r.TTL = DefaultTimeBased
		if r.Grant == GrantOneTime {
			r.TTL = DefaultOneTime
		}
	}
	if r.Mode == "" {
		r.Mode = ModeEnforce
	}
	if len(r.Methods) == 0 {
		r.Methods = slices.Clone(methods)
	}
	if r.Label == "" {
		r.Label = r.Action
	}
	return r
}

// Validate returns the first thing that is wrong with r by itself, as a sentence.
// What is wrong between rules is CheckRules' to find. The setting that is to blame is
// in [PathOf] of the error.
func (r Rule) Validate() error {
	if err := CheckAction(r.Action); err != nil {
		return at(err, "action")
	}
	if err := r.checkEach(); err != nil {
		return fmt.Errorf("%s: %w", r.Action, err)
	}
	return r.checkTogether()
}

// checkEach checks each setting by itself.
func (r Rule) checkEach() error {
	if err := r.On.check(); err != nil {
		return at(err, "on")
	}
	for i, set := range r.Match {
		if len(set) == 0 {
			return at(errors.New("empty match: name at least one matcher in it, such as `method POST`"), "match[%d]", i)
		}
		if err := set.check(); err != nil {
			return at(err, "match[%d]", i)
		}
	}
	if err := CheckUnsafeNot(r.UnsafeNot); err != nil {
		return at(err, "unsafe_not")
	}
	if len(r.Except) > MaxPaths {
		return at(fmt.Errorf("except takes at most %d paths: write what they have in common with a star, such as /assets/*", MaxPaths), "except")
	}
	for i, p := range r.Except {
		if err := CheckPath(p); err != nil {
			return at(fmt.Errorf("except %w", err), "except[%d]", i)
		}
	}
	if err := r.checkFields(); err != nil {
		return err
	}
	if err := CheckGrant(r.Grant, r.TTL); err != nil {
		return at(err, "grant")
	}
	if err := CheckMethods(r.Methods); err != nil {
		return at(err, "methods")
	}
	if err := CheckAccept(r.Accept); err != nil {
		return at(err, "accept")
	}
	if err := CheckMode(r.Mode); err != nil {
		return at(err, "mode")
	}
	if len(r.Label) > MaxLabel || !printable(r.Label) {
		return at(fmt.Errorf("label must be at most %d bytes of printable text", MaxLabel), "label")
	}
	return nil
}

// checkTogether checks the settings against each other.
func (r Rule) checkTogether() error {
	switch {
	case !r.Any && len(r.On) == 0 && len(r.Match) == 0 && !r.Unsafe:
		return fmt.Errorf("%s names no request: write paths after it, `unsafe` or a match block in it, or * for every request of the site", r.Action)
	case r.Any && len(r.On) > 0:
		return at(fmt.Errorf("%s says both every request (*) and a narrower matcher: keep one of them", r.Action), "any")
	case len(r.UnsafeNot) > 0 && !r.Unsafe:
		return at(fmt.Errorf("%s: unsafe_not names methods that unsafe leaves alone, and unsafe is not set: write unsafe too", r.Action), "unsafe_not")
	case slices.Contains(r.Except, "/*"):
		return at(fmt.Errorf("%s excepts every path, so it would protect nothing: name the paths that need no proof", r.Action), "except[%d]", slices.Index(r.Except, "/*"))
	case len(r.Accept) > 0 && len(r.Show) > 0:
		return at(fmt.Errorf("%s: show and accept api exclude each other: what was shown is approved for that one request, which a server does not know; remove one of them", r.Action), "accept")
	}
	return r.checkPossible()
}

// check refuses what a matcher set may not hold.
func (m Matchers) check() error {
	for name, raw := range m {
		if bytes.Contains(raw, []byte("http.request.body")) {
			// Reading it would hold any amount of it in memory, before
			// anybody is known, and see one of its many readings (S22).
			return fmt.Errorf("matcher %s looks into the request's body, which is not offered: match path, method, query or headers", name)
		}
	}
	if err := m.checkOpening(false); err != nil {
		return err
	}
	_, err := m.paths()
	return err
}

// paths returns what the set's path matcher names, checked; nil where it has
// none.
func (m Matchers) paths() ([]string, error) {
	raw, ok := m["path"]
	if !ok {
		return nil, nil
	}
	var ps []string
	if err := json.Unmarshal(raw, &ps); err != nil {
		return nil, fmt.Errorf("reading the path matcher: %w", err)
	}
	if len(ps) == 0 || len(ps) > MaxPaths {
		return nil, fmt.Errorf("a path matcher must name 1 to %d paths", MaxPaths)
	}
	for _, p := range ps {
		if strings.HasPrefix(p, "*") {
			// "*.php" and "*" are Caddy's suffix and catch-all patterns.
			if _, err := path.Match(p, ""); err != nil {
				return nil, fmt.Errorf("path %q is not a well-formed pattern: close its brackets", p)
			}
			continue
		}
		if err := CheckPath(p); err != nil {
			return nil, err
		}
	}
	return ps, nil
}
