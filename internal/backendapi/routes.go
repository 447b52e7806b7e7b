package backendapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// route is one call.
type route struct {
	method string
	// pattern is the path, in which a segment "{name}" stands for one id; text
	// may follow it in the segment.
	pattern string
	dialect *dialect
	// admit says who may call. For keys, scopes are those of which the key needs
	// one; empty where the call looks for itself.
	admit  admission
	scopes []apikeys.Scope
	serve  func(*call) error
}

// admission is who may call.
type admission uint8

const (
	byKey       admission = iota // an API key
	byKeyOrUser                  // an API key, or a user's own token
	byAnybody                    // no credential is looked at
)

// routes are all calls there are.
func routes() []route {
	return slices.Concat(stepUpRoutes(), quickstartRoutes(), tenantRoutes(), secretsRoutes(), documentRoutes())
}

// dialect is the way in which one documented API tells its refusals.
type dialect struct {
	// under begins the paths that are the dialect's, also those where nothing is.
	under []string
	// schemes are the authentication schemes that its clients send keys with, in
	// lower case.
	schemes []string
	// tell gives the JSON of a refusal.
	tell func(*call, *refusal) any
}

// dialects are all there are. A path is the first one's that it lies under.
func dialects() []*dialect {
	return []*dialect{&stepUp, &quickstart, &tenants, &secrets}
}

// plain is for paths that are no dialect's.
var plain = dialect{schemes: []string{"bearer"}, tell: func(_ *call, r *refusal) any {
	return struct {
		Error   string `json:"error"`
		Message string `json:"message,omitempty"`
	}{r.code, r.detail}
}}

func dialectOf(path string) *dialect {
	for _, d := range dialects() {
		if slices.ContainsFunc(d.under, func(p string) bool { return strings.HasPrefix(path, p) }) {
			return d
		}
	}
	return &plain
}

// find gives the route of the path, with the ids in it, and the methods that the
// path takes: none where there is no such path. HEAD is taken like GET.
//
// The path is compared as it was sent, byte by byte: there is one spelling of
// each, and ids alone may be percent-encoded.
func (a *API) find(method, path string) (found *route, ids, allowed []string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	segments := strings.Split(path, "/")
	for i := range a.routes {
		rt := &a.routes[i]
		got, ok := match(rt.pattern, segments)
		if !ok {
			continue
		}
		allowed = append(allowed, rt.method)
		if rt.method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
		if rt.method == method {
			found, ids = rt, got
		}
	}
	return found, ids, allowed
}

func match(pattern string, segments []string) (ids []string, ok bool) {
	want := strings.Split(pattern, "/")
	if len(want) != len(segments) {
		return nil, false
	}
	for i, w := range want {
		if !strings.HasPrefix(w, "{") {
			if w != segments[i] {
				return nil, false
			}
			continue
		}
		id, ok := pathID(segments[i], w[strings.Index(w, "}")+1:])
		if !ok {
			return nil, false
		}
		ids = append(ids, id)
	}
	return ids, true
}

// maxPathID is longer than every id of ours with each byte percent-encoded.
const maxPathID = 3 * (ceremony.MaxUserID + 16)

// pathID reads an id that a segment of a path is, but for the suffix.
func pathID(segment, suffix string) (string, bool) {
	raw, ok := strings.CutSuffix(segment, suffix)
	if !ok || raw == "" || len(raw) > maxPathID {
		return "", false
	}
	id, err := url.PathUnescape(raw)
	// What others on the way may have read as steps through the path is no id.
	if err != nil || id == "." || id == ".." {
		return "", false
	}
	return id, true
}

func joinMethods(methods []string) string {
	slices.Sort(methods)
	return strings.Join(slices.Compact(methods), ", ")
}
