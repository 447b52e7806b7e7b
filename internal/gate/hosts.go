package gate

import (
	"net/http"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// namesAHost reports whether a header of this name tells some applications which
// host was asked for, whoever sent it. A proxy sets X-Forwarded-Host anew, unless it
// trusts who sent it.
func namesAHost(name string) bool {
	if len(name) < len("x-host") {
		return false
	}
	switch name[0] | 0x20 {
	case 'f':
		return folds(name, "forwarded")
	case 'x':
		switch len(name) {
		case len("x-host"):
			return folds(name, "x-host")
		case len("x-original-host"):
			return folds(name, "x-original-host")
		case len("x-forwarded-host"):
			return folds(name, "x-forwarded-host")
		case len("x-forwarded-server"):
			return folds(name, "x-forwarded-server")
		case len("x-http-host-override"):
			return folds(name, "x-http-host-override")
		}
	}
	return false
}

// oneHost reports whether the host of a request can be read in one way only.
func oneHost(r *http.Request) bool {
	if !readings.SingleHost(r.Host) {
		return false
	}
	for name := range r.Header {
		if namesAHost(name) {
			return false
		}
	}
	return true
}

// hosts lists the hosts that the request may be for.
func hosts(r *http.Request) ([]string, error) {
	var named []string
	for name, values := range r.Header {
		if !namesAHost(name) {
			continue
		}
		if len(named)+len(values) > maxNamed {
			return nil, readings.ErrTooMany
		}
		for _, v := range values {
			if name[0]|0x20 == 'f' {
				v = forwardedHosts(v)
			}
			named = append(named, v)
		}
	}
	return readings.Hosts(r.Host, named...)
}

// forwardedHosts returns the hosts of a Forwarded field (RFC 7239) as a list.
func forwardedHosts(v string) string {
	var list []string
	for pair := range strings.FieldsFuncSeq(v, func(c rune) bool { return c == ',' || c == ';' }) {
		name, host, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if strings.EqualFold(strings.TrimSpace(name), "host") {
			list = append(list, host)
		}
	}
	return strings.Join(list, ",")
}
