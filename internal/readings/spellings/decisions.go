package spellings

import (
	"net/url"
	"regexp"
	"strings"
)

// Decision is a kind of spelling that passes a rule on the path Rule though some
// server takes it for that path: to ask for a proof there would stop honest
// requests, or no rule could say what is meant.
type Decision struct {
	Rule     string
	Examples []string       // requests by GET that pass
	Kind     *regexp.Regexp // of method and decoded path, for a rule on /exact
	Reason   string
}

// Decisions are all kinds of spellings that pass by decision.
func Decisions() []Decision {
	return []Decision{
		{
			Rule:     "/exact",
			Examples: []string{"/exact.css", "/exact.MAP", "/exact.woff2", "/exact.min.css"},
			Kind:     regexp.MustCompile(`(?i)^GET .*/exact\.([^/?;#]*\.)?(css|map|ico|woff2?|ttf|otf|eot)$`),
			Reason:   "Stylesheets, source maps, icons and fonts dress pages and are loaded by every visitor. A framework that takes the extension for a format (Rails, Express) runs the action for them too, by GET: an action that changes something by GET needs a rule with a star.",
		},
		{
			Rule:     "/exact",
			Examples: []string{"/exactjson", "/exact:json", "/exact*", "/exact-more", "/exact%2ajson", "/exact%25", "/ex%61ct%7c", "/exact%20*"},
			Kind:     regexp.MustCompile(`(?i)/exact *[^/?.;\\#\x00-\x20\x7f-\x{10ffff}]`),
			Reason:   "Other endings are other paths. Sinatra's route /exact.?:format? takes any, since its dot is optional: write /exact*.",
		},
		{
			Rule:     "/folder/",
			Examples: []string{"/folder/Home.aspx", "/folder/welcome.html"},
			Reason:   "Which file a folder is served from is the server's to say. index and default with any extension are known; for others write /folder/*.",
		},
		{
			Rule:     "/exact",
			Examples: []string{"/EXACT~1", "/index.cgi?page=exact"},
			Reason:   "Short names of Windows, symbolic links and the application's own rewrites are other paths to the gateway.",
		},
	}
}

// Covers reports whether a request is of the kind: its method, and its target as
// it is sent.
func (d Decision) Covers(method, target string) bool {
	path, _, _ := strings.Cut(target, "?")
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	return d.Kind != nil && d.Kind.MatchString(method+" "+path)
}
