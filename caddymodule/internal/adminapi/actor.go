package adminapi

import (
	"net"
	"net/http"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/typed"
)

// ClaimedHeader is where the command says who runs it. Nothing verifies it: who
// reaches the admin endpoint may send any name.
const ClaimedHeader = "Step-Up-Operator"

// maxClaimed bounds a claimed name, in bytes.
const maxClaimed = 128

// operatorOf is who uses the admin endpoint, as far as it is known.
func operatorOf(r *http.Request) ceremony.Actor {
	a := ceremony.Actor{Kind: ceremony.ByOperator, From: r.RemoteAddr}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		a.From = host
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() == "unix" {
		a.From = "unix socket"
	}
	if name := r.Header.Get(ClaimedHeader); len(name) <= maxClaimed && typed.IsPlain(name) {
		a.Claimed = name
	}
	return a
}
