package main

import (
	"net/http"
	"net/url"
	"regexp"
	"sort"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/tests/honest"
)

// perConnection are fields that say nothing about the request, or that say how
// long a body is, which the cleaning may change.
var perConnection = []string{"Content-Length", "Accept-Language", "Sec-Ch-Ua", "Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Upgrade-Insecure-Requests", "If-Modified-Since"}

// clean takes out what must not be kept: credentials, and where it was recorded.
func (a *app) clean(r honest.Request) honest.Request {
	h := make(http.Header, len(r.Header))
	for name, values := range r.Header {
		for _, v := range values {
			switch name {
			case "Cookie":
				v = cookieNames(v)
			case "Authorization", "Proxy-Authorization":
				v = scheme(v)
			default:
				v = a.replace(v)
			}
			h.Add(name, v)
		}
	}
	for _, name := range perConnection {
		h.Del(name)
	}
	r.Header = h
	r.Target = a.replace(r.Target)
	if r.Text != "" {
		r.Text = a.replace(r.Text)
	}
	return r
}

// cookieNames keeps names, and gives every cookie the same value.
func cookieNames(v string) string {
	var out []string
	for pair := range strings.SplitSeq(v, ";") {
		name, _, _ := strings.Cut(strings.TrimSpace(pair), "=")
		out = append(out, secrets.ReplaceAllStringFunc(name, same)+"=x")
	}
	return strings.Join(out, "; ")
}

// scheme keeps how somebody signs in, and not as whom.
func scheme(v string) string {
	s, _, _ := strings.Cut(v, " ")
	if strings.EqualFold(s, "basic") {
		return s + " dXNlcjpwYXNzd29yZA==" // user:password
	}
	return s + " xxxxxxxxxxxxxxxx"
}

// secrets finds long runs of letters and digits. Escapes are matched first, so that
// none is cut in two.
var secrets = regexp.MustCompile(`%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|[A-Za-z0-9]{20,}`)

// same has a letter for every letter and a digit for every digit.
func same(s string) string {
	if len(s) < 20 || !strings.ContainsAny(s, "0123456789") {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9':
			return '0'
		case r >= 'A' && r <= 'Z':
			return 'X'
		}
		return 'x'
	}, s)
}

// replace puts names for addresses and directories of this machine, in each
// spelling that clients have for them.
func (a *app) replace(s string) string {
	if a.replacer == nil {
		var from []string
		for name := range a.names {
			from = append(from, name)
		}
		// The longest first: one may begin another.
		sort.Slice(from, func(i, j int) bool { return len(from[i]) > len(from[j]) })
		var pairs []string
		for _, name := range from {
			to := a.names[name]
			pairs = append(pairs, name, to, url.QueryEscape(name), url.QueryEscape(to), url.PathEscape(name), url.PathEscape(to),
				strings.ReplaceAll(name, "/", `\/`), strings.ReplaceAll(to, "/", `\/`),
				strings.ToLower(url.QueryEscape(name)), url.QueryEscape(to),
				strings.Replace(name, "127.0.0.1", "localhost", 1), to,
				url.QueryEscape(strings.Replace(name, "127.0.0.1", "localhost", 1)), url.QueryEscape(to))
		}
		a.replacer = strings.NewReplacer(pairs...)
	}
	return secrets.ReplaceAllStringFunc(a.replacer.Replace(s), same)
}
