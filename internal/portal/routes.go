package portal

import (
	"net/http"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/grants"
)

// route is one call. In a pattern "*" stands for one id.
type route struct {
	api     bool
	method  string
	pattern []string
	serve   func(*visit) error
}

// routes are all calls there are. A call that only shows something takes HEAD
// like GET.
func routes() []route {
	page := func(method, pattern string, serve func(*visit) error) route {
		if method == http.MethodPost {
			serve = withForm(serve)
		}
		return route{false, method, split(pattern), serve}
	}
	call := func(method, pattern string, serve func(*visit) error) route {
		return route{true, method, split(pattern), serve}
	}
	const get, post, patch, del = http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
	all := []route{
		page(get, "", (*visit).showSecurity),
		page(get, "enroll", (*visit).showEnrollStart),
		page(post, "enroll", (*visit).beginEnroll),
		page(get, "enroll/*", (*visit).showEnroll),
		page(post, "enroll/*/send", (*visit).sendFirst),
		page(post, "enroll/*/confirm", (*visit).confirmEnroll),
		page(get, "challenge/*", (*visit).showChallenge),
		page(post, "challenge/*", (*visit).answerChallenge),
		page(post, "challenge/*/send", (*visit).sendCode),
		page(post, "challenge/*/again", (*visit).beginAgain),
		page(post, "challenge/*/cancel", (*visit).cancelChallenge),
		page(get, "authenticators/*/remove", (*visit).askRemove),
		page(post, "authenticators/*/remove", (*visit).remove),
		page(get, "authenticators/*/rename", (*visit).askRename),
		page(post, "authenticators/*/rename", (*visit).rename),
		page(get, "authenticators/*/vouch", (*visit).askVouch),
		page(post, "authenticators/*/vouch", (*visit).vouch),
		page(post, "authenticators/*/not-me", (*visit).notMe),
		page(get, "recovery-codes/renew", (*visit).askRenew),
		page(post, "recovery-codes/renew", (*visit).renew),
		page(post, "grants/*/revoke", (*visit).revoke),
		page(post, "language", (*visit).changeLanguage),

		call(get, "me", (*visit).apiMe),
		call(get, "activity", (*visit).apiActivity),
		call(post, "challenges", (*visit).apiBegin),
		call(get, "challenges/*", (*visit).apiChallenge),
		call(post, "challenges/*/send", (*visit).apiSend),
		call(post, "challenges/*/verify", (*visit).apiVerify),
		call(patch, "authenticators/*", (*visit).apiRename),
		call(del, "authenticators/*", (*visit).apiRemove),
		call(post, "authenticators/*/vouch", (*visit).apiVouch),
		call(post, "authenticators/*/not-me", (*visit).apiNotMe),
		call(post, "recovery-codes", (*visit).apiRenew),
		call(del, "grants/*", (*visit).apiRevoke),
	}
	for _, kind := range grants.Kinds() {
		if kind.Offer == "" {
			continue
		}
		all = append(all, call(post, kind.Offer, apiEnroll(kind)), call(post, kind.Offer+"/*/confirm", apiConfirm(kind)))
		if kind.Way == grants.BySent {
			all = append(all, call(post, kind.Offer+"/*/send", (*visit).apiSendFirst))
		}
		if kind.Way == grants.ByBrowser {
			all = append(all, call(get, "challenges/*/"+kind.Name, apiAsk(kind)))
		}
		if kind.Field != "" {
			all = append(all, page(get, kind.Type, showAddress(kind)), page(post, kind.Type, beginAddress(kind)))
		}
	}
	return all
}

func split(path string) []string { return strings.Split(path, "/") }

// find gives what serves the path, with the ids in it, and the methods that the
// path takes: none where there is no such path.
func (p *Portal) find(api bool, method, path string) (serve func(*visit) error, ids []string, allowed []string) {
	segments := split(path)
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, r := range p.routes {
		found, ok := r.match(api, segments)
		if !ok {
			continue
		}
		allowed = append(allowed, r.method)
		if r.method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
		if r.method == method {
			serve, ids = r.serve, found
		}
	}
	slices.Sort(allowed)
	return serve, ids, allowed
}

func (r *route) match(api bool, segments []string) (ids []string, ok bool) {
	if r.api != api || len(r.pattern) != len(segments) {
		return nil, false
	}
	for i, want := range r.pattern {
		if want == "*" && isID(segments[i]) {
			ids = append(ids, segments[i])
		} else if want != segments[i] {
			return nil, false
		}
	}
	return ids, true
}

// maxID is longer than every id of ours.
const maxID = 64

// isID tells whether s could be an id: base64url, as all of ours are. Ids are
// put in links, so this is also what keeps links whole.
func isID(s string) bool {
	if s == "" || len(s) > maxID {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}
