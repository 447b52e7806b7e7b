package caddymodule

import (
	"errors"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/facts"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

// identifyRequest identifies a request for the application: one that carries a
// credential which the identity source's answer does not stand for is refused,
// since the application may act as that other user (S21).
//
// sent is what the gate knows of the request.
func (h *Handler) identifyRequest(r *http.Request, sent gate.Sent) (ceremony.Principal, error) {
	if err := h.carried.denied(r, sent); err != nil {
		return ceremony.Principal{}, h.unvouched(r, sent.Observed, err)
	}
	p, who, err := h.identify(r, sent)
	if err != nil {
		return p, err
	}
	// Bodies are looked into last: nobody whose name is not known makes the gateway
	// read one for the sake of credentials.
	look := func() error {
		err := h.carried.deniedInBody(r)
		if err == nil {
			err = h.carried.inBody(r, who.Vouched)
		}
		if err != nil {
			return h.unvouched(r, sent.Observed, err)
		}
		return nil
	}
	if !h.carried.reads(r) {
		return p, look()
	}
	return p, gate.ReadWhole(r, h.service, p, int64(h.carried.limit), look)
}

// identify asks the identity source, and returns the subject in the form in which
// it is kept. Bodies are not looked into: those of the gateway's own pages never
// reach the application.
func (h *Handler) identify(r *http.Request, sent gate.Sent) (p ceremony.Principal, who Identity, err error) {
	if len(r.Header["Authorization"]) > 1 {
		// Caddy reads the first, the application maybe the last (S21).
		return p, who, ErrAmbiguous
	}
	who, err = h.identity.Identify(r)
	switch {
	case errors.Is(err, ErrAmbiguous):
		return p, who, h.unvouched(r, sent.Observed, err)
	case err != nil:
		return p, who, err
	case who.Subject.Tenant != "" && who.Subject.Tenant != h.tenant:
		return p, who, ErrNobody // somebody, but not of this tenant
	}
	h.lasting.Identified()
	if err := h.carried.check(r, sent, who.Vouched); err != nil {
		return p, who, h.unvouched(r, sent.Observed, err)
	}
	user, err := h.form(who.Subject.User)
	if err != nil {
		return p, who, h.unusable(r, sent.Observed, err)
	}
	name := who.Name
	if name == "" {
		name = who.Subject.User
	}
	if name = trimmed(name); name != user {
		if _, err := identity.Exact(name); err != nil {
			return p, who, h.unusable(r, sent.Observed, err)
		}
	}
	p.Tenant, p.User, p.Name = h.tenant, user, name
	if who.Session != "" {
		p.Session = sessionFingerprint(who.Session)
	}
	return p, who, nil
}

// trimmed removes the blanks around a name, of which most have none.
func trimmed(name string) string {
	if name != "" && name[0] > ' ' && name[len(name)-1] > ' ' {
		return name
	}
	return strings.Trim(name, identity.Blanks)
}

// refusing is what is done with a request that is merely observed, or not.
func refusing(observed bool) string {
	if observed {
		return "would refuse"
	}
	return "refused"
}

// unvouched reports a request with more than one credential. Each place is told to
// the operator once, who alone can say whether the application reads it.
func (h *Handler) unvouched(r *http.Request, observed bool, err error) error {
	did := refusing(observed)
	place := ""
	if at := (*identity.UnvouchedError)(nil); errors.As(err, &at) && !at.Denied {
		place = at.Place.String()
	}
	if _, told := h.carried.told.LoadOrStore(did+place, true); told {
		h.logger.Debug(did+" a request with more than one credential", zap.String("client_ip", facts.Client(r)), zap.Error(err))
		return ErrAmbiguous
	}
	advice := "the gateway and the application could take such a request for two users"
	if place != "" {
		advice = "if the application takes no credential from there, write `credentials { ignore " + place + " }` in step_up"
	}
	h.logger.Warn(did+" a request with more than one credential; "+advice+" (told once for each place)",
		zap.String("tenant", h.tenant), zap.String("client_ip", facts.Client(r)), zap.Error(err))
	return ErrAmbiguous
}

// unusable reports a user whose id is not one.
func (h *Handler) unusable(r *http.Request, observed bool, err error) error {
	h.logger.Warn(refusing(observed)+" a user id of the identity source", zap.String("tenant", h.tenant), zap.String("client_ip", facts.Client(r)), zap.Error(err))
	return identity.ErrInvalid
}

// email returns the mail address that the identity source vouches for, or "" if what
// it gave is none. The operator is told so once, without the text: it may be
// anything.
func (h *Handler) email(given string) string {
	if given == "" {
		return ""
	}
	email, err := identity.Email(given)
	if err != nil {
		h.badEmail.Do(func() {
			h.logger.Warn("the identity source gave a mail address that cannot be used, so none is known for this user (told once)",
				zap.String("tenant", h.tenant), zap.Error(err))
		})
	}
	return email
}

// warnUnaddressed warns of a site on which codes by mail can be sent to nobody.
func (h *Handler) warnUnaddressed(app *App) {
	if s, known := h.identity.(interface{ GivesEmail() bool }); app.Email != nil && known && !s.GivesEmail() {
		h.logger.Warn("codes by mail are configured, but the identity source of a site provides no addresses, so that nobody there is sent one: write `email` in the block of its identity",
			zap.String("at", h.place.At("identity")), zap.String("tenant", h.tenant))
	}
}
