package readings

import (
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// maxHosts bounds how many hosts one request may be read as.
const maxHosts = 8

// maxHost bounds a host with its port (RFC 1035 section 2.3.4).
const maxHost = 512

// SingleHost reports whether a host, with or without a port, can be read in one
// way only. It may err on the other side.
func SingleHost(host string) bool {
	name, port, found := strings.Cut(host, ":")
	if name == "" || name[len(name)-1] == '.' || found && !isPort(port) {
		return false
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; !unreserved(c) || c == '_' {
			return false
		}
	}
	return true
}

// Hosts lists the hosts that an application may take a request to be for: the sent
// one first, and those of further values, which may be lists. A name is read without
// its trailing dot (the same host to DNS), decoded, without what stands in front of
// an @, up to the first colon, and in the form of DNS if it has other letters than
// those of ASCII. The only error is ErrTooMany.
func Hosts(sent string, further ...string) ([]string, error) {
	hosts := []string{sent}
	add := func(h string) {
		if h != "" && !slices.ContainsFunc(hosts, func(have string) bool { return strings.EqualFold(have, h) }) {
			hosts = append(hosts, h)
		}
	}
	for i, list := range append([]string{sent}, further...) {
		if len(list) > maxHost {
			return nil, ErrTooMany
		}
		for h := range strings.SplitSeq(list, ",") {
			h = strings.Trim(h, blanks+`"`)
			if i > 0 {
				add(h)
			}
			if !SingleHost(h) {
				add(readHost(h))
			}
			if len(hosts) > maxHosts {
				return nil, ErrTooMany
			}
		}
	}
	return hosts, nil
}

// readHost is a host as the most tolerant reader has it.
func readHost(h string) string {
	if strings.IndexByte(h, '%') >= 0 {
		if decoded, err := url.PathUnescape(h); err == nil {
			h = decoded
		}
	}
	h = h[strings.LastIndexByte(h, '@')+1:]
	h = strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(h), "http://"), "https://")
	h, _, _ = strings.Cut(h, "/")
	if strings.HasPrefix(h, "[") {
		return h
	}
	name, port, _ := strings.Cut(h, ":")
	name = strings.Trim(name, "."+blanks+"\x00")
	if dns, err := idna.Lookup.ToASCII(name); err == nil {
		name = dns
	}
	if name = strings.TrimRight(name, "."); isPort(port) {
		return name + ":" + port
	}
	return name
}

func isPort(s string) bool {
	return s != "" && len(s) <= 5 && strings.Trim(s, "0123456789") == ""
}
