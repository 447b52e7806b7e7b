package caddymodule

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/database"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/facts"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/metrics"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
)

// counterOf counts what became of protected requests. The counters of the site's
// action types are looked up here once, and not by each request.
func counterOf(rules []config.Rule) func(action string, outcome gate.Outcome) func() {
	type series map[gate.Outcome]prometheus.Counter
	counters := make(map[string]series)
	for _, r := range rules {
		metrics.Labels.Allow(r.Action)
		counters[r.Action] = make(series)
		for _, o := range []gate.Outcome{gate.Passed, gate.Spent, gate.GivenBack, gate.Challenged, gate.Refused, gate.Failed, gate.WouldChallenge} {
			counters[r.Action][o] = metrics.Requests.WithLabelValues(r.Action, string(o))
		}
	}
	return func(action string, outcome gate.Outcome) func() {
		if c, ok := counters[action][outcome]; ok {
			return c.Inc
		}
		return metrics.Requests.WithLabelValues("", string(outcome)).Inc // decided before any rule
	}
}

// gateFailed logs what the operator must look into. The request's URI is left
// out: it is the client's, and stands in the access log.
func (h *Handler) gateFailed(r *http.Request, doing string, err error) {
	database.LogRefusal(h.logger, doing+" failed, so a request was refused", err, zap.String("tenant", h.tenant), zap.String("client_ip", facts.Client(r)))
}

// refusedFor logs what may refuse all requests.
func (h *Handler) refusedFor(r *http.Request, why gate.Lasting) {
	switch why {
	case gate.PlainHTTP:
		h.lasting.PlainHTTP(r, facts.Trusted(r), time.Now())
	case gate.Nobody:
		h.lasting.Nobody(r, time.Now())
	}
}

func (h *Handler) portalFailed(_ context.Context, err error) {
	database.LogRefusal(h.logger, "a page of the gateway is unavailable", err, zap.String("tenant", h.tenant))
}

// identifyForPortal is identify for the gateway's own pages, which have no gate
// in front that adds where the person is.
func (h *Handler) identifyForPortal(r *http.Request) (ceremony.Principal, error) {
	original, _ := facts.OriginalTarget(r)
	p, who, err := h.identify(r, gate.Sent{Original: original})
	if err != nil {
		return p, err
	}
	p.Email = h.email(who.Email)
	p.Browser, _ = cookies.BrowserID(r, facts.Secure(r))
	p.Address = facts.Client(r)
	return p, nil
}

// undialed tells of an error from behind us that no connection to the
// application was made.
func undialed(err error) bool {
	var dial reverseproxy.DialError
	if errors.As(err, &dial) {
		return true
	}
	var handler caddyhttp.HandlerError
	return errors.As(err, &handler) && errors.As(handler.Err, &dial)
}

// sessionFingerprint is what a grant remembers of an identity source's session,
// which may be a secret.
func sessionFingerprint(session string) [32]byte {
	return sha256.Sum256([]byte("step-up session\x00" + session))
}
