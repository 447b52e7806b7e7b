// Package lasting logs what a site will refuse for as long as its configuration
// stays as it is: requests over plain HTTP, and protected requests of a site that
// identifies nobody.
package lasting

import (
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/occasion"
)

// Again is how long a refusal of a kind is not logged once more: strangers choose
// how many requests are refused.
const Again = 10 * time.Minute

// Log is of one site. Its methods may be used concurrently.
type Log struct {
	logger     *zap.Logger
	identified atomic.Bool

	plain, nobody occasion.Occasion
}

// New returns a log whose lines have the fields of logger.
func New(logger *zap.Logger) *Log { return &Log{logger: logger} }

// PlainHTTP logs that a request was refused since the client did not come over
// HTTPS, and what the request says about that. trusted reports whether it came from
// a proxy that the server trusts.
func (l *Log) PlainHTTP(r *http.Request, trusted bool, now time.Time) {
	refused, due := l.plain.Due(now, Again)
	if !due {
		return
	}
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		from = r.RemoteAddr
	}
	proto := strings.Join(r.Header["X-Forwarded-Proto"], ", ")
	advice := "serve the site over HTTPS; if a proxy in front does, let it send X-Forwarded-Proto: https and name it in trusted_proxies"
	switch {
	case proto != "" && !trusted:
		advice = "it says X-Forwarded-Proto, which counts from trusted proxies only: if the proxy in front is yours, write `servers { trusted_proxies static " + from + " }` in the global options"
	case proto != "":
		advice = "the trusted proxy in front says that the client came so: let people in over HTTPS only, or let the proxy send the scheme of the client"
	}
	l.logger.Warn("protected requests over plain HTTP are refused, with 403 https_required, for as long as this stays as it is: "+advice,
		zap.String("host", r.Host), zap.String("remote_ip", from), zap.String("x_forwarded_proto", proto), zap.Int("refused", refused))
}

// Identified notes that somebody was identified.
func (l *Log) Identified() {
	if !l.identified.Load() {
		l.identified.Store(true)
	}
}

// Nobody logs that a request was refused since the identity source named nobody, if
// it has not named anybody yet: then it may never.
func (l *Log) Nobody(r *http.Request, now time.Time) {
	if l.identified.Load() {
		return
	}
	if refused, due := l.nobody.Due(now, Again); due {
		l.logger.Warn("protected requests are refused, with 401, since the identity source has named nobody so far: "+
			"if people are signed in, check that what authenticates them stands before step_up, and that `identity` asks for what it sets",
			zap.String("host", r.Host), zap.Int("refused", refused))
	}
}
