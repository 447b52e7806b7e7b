package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/config"
)

// policies looks at who may enroll, and with what.
func (e *examination) policies() {
	app := e.doc.Apps.StepUp
	said := app.App.WithDefaults()
	local := !slices.ContainsFunc(e.sites, func(s *site) bool { return !s.local(s.view.Listen) })
	// onlyHere is a note where all is for this machine, and a warning elsewhere.
	onlyHere := e.warn
	if local {
		onlyHere = e.note
	}
	switch until, err := said.Enrollment.Deadline(); {
	case said.Enrollment.Policy == config.EnrollFirstUse && err == nil && until.IsZero():
		onlyHere("first-use-open", e.appAt("enrollment"), "enrollment first_use has no end: who steals a password before its owner has enrolled can enroll in their place",
			"write `enrollment first_use until DATE`, and then `enrollment invite`")
	case said.Enrollment.Policy == config.EnrollFirstUse && err == nil && until.After(e.in.Now().AddDate(5, 0, 0)):
		onlyHere("first-use-open", e.appAt("enrollment"), "enrollment first_use ends at "+said.Enrollment.Until+", in more than five years: who steals a password before its owner has enrolled can enroll in their place",
			"write the date at which your users will have enrolled")
	case said.Enrollment.Policy == config.EnrollFirstUse && err == nil && !until.After(e.in.Now()):
		e.warn("first-use-over", e.appAt("enrollment"), "enrollment first_use ended at "+said.Enrollment.Until+": an invite is asked for since", "write `enrollment invite`, or a later date")
	case said.Enrollment.Policy == config.EnrollDeny:
		e.note("enrollment-denied", e.appAt("enrollment"), "enrollment is denied: only who has enrolled before can pass", "")
	}
	for setting, raw := range map[string][]byte{"sms_sender": app.SMSSender, "email_sender": app.EmailSender} {
		if word(raw, "sender") == "file" {
			onlyHere("codes-to-file", e.appAt(setting), "codes are written to the file "+word(raw, "path")+" and sent to nobody: whoever reads it passes every step-up by them", "configure a webhook or smtp sender")
		}
	}
	e.times(said)
	for _, s := range e.sites {
		e.passkeys(s, said)
		e.offered(s, said)
	}
}

// times looks at durations and budgets of codes that do not go together.
func (e *examination) times(said config.App) {
	codes := map[string]*config.SentCodes{"email": said.Email}
	if said.SMS != nil {
		codes["sms"] = &said.SMS.SentCodes
	}
	for name, c := range codes {
		if c == nil {
			continue
		}
		at := e.appAt(name)
		if c.ResendAfter >= said.Limits.ChallengeTTL {
			e.warn("resend-after-challenge", at, fmt.Sprintf("%s resend_after is %s, and a challenge ends after %s: nobody can ask for a second code within one", name, c.ResendAfter, said.Limits.ChallengeTTL),
				"write a shorter resend_after, or a longer challenge_ttl in `limits`")
		}
		switch {
		case c.Total < c.PerSubject:
			e.warn("total-below-subject", at, fmt.Sprintf("%s total is %d codes for all users, and per_subject lets one user cause %d: one user can leave everybody else without codes", name, c.Total, c.PerSubject),
				"write a total that is many times per_subject, or leave it out")
		case c.Total < c.PerDestination:
			e.warn("total-below-destination", at, fmt.Sprintf("%s total is %d codes for all users, and per_destination lets %d go to one address: one user can leave everybody else without codes", name, c.Total, c.PerDestination),
				"write a total that is many times per_destination, or leave it out")
		}
	}
	if held := said.Limits.Held; int64(held.PerBrowser)*held.Size > held.Total {
		e.warn("held-total", e.appAt("limits"), fmt.Sprintf("one browser may have %d forms of %d bytes held, and total is %d bytes: one browser can fill it, and the forms of others are not held", held.PerBrowser, held.Size, held.Total),
			"write a larger total in `held`, or a smaller size or per_browser")
	}
}

// passkeys looks at whether browsers make passkeys for a site.
func (e *examination) passkeys(s *site, said config.App) {
	if said.Passkeys.Disabled {
		return
	}
	rp := said.Passkeys.RelyingParty
	at := e.appAt("passkeys.relying_party")
	for _, h := range s.view.Hosts {
		host := strings.ToLower(strings.TrimPrefix(h, "*."))
		if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
			e.passkeyless(s, s.at(""), "passkeys-address", "browsers make no passkeys for the address "+h, "give the site a name, or write `passkeys off`")
		} else if rp != "" && host != rp && !strings.HasSuffix(host, "."+rp) {
			e.error("relying-party", at, fmt.Sprintf("passkeys are made for %s, and the site %s is neither that name nor below it: nobody can make or use one there", rp, h),
				"write a domain that all sites lie in, or leave relying_party out so that each site has its own")
		}
	}
	if s.view.Scheme == "http" && len(s.view.TrustedProxies) == 0 && !s.local(s.view.Listen) {
		e.passkeyless(s, s.at(""), "passkeys-plain-http", "browsers make no passkeys for "+s.name()+" over plain HTTP", "serve it over HTTPS")
	}
}

// passkeyless tells that a site has no passkeys: that is an error where a rule takes
// nothing else.
func (e *examination) passkeyless(s *site, at, code, problem, advice string) {
	for i, r := range s.settings.Rules {
		if len(r.Methods) == 1 && r.Methods[0] == config.MethodPasskey {
			e.error(code, s.at(fmt.Sprintf("rules[%d].methods", i)), problem+", and "+r.Action+" takes nothing else: nobody can pass", advice)
			return
		}
	}
	e.note(code, at, problem, advice)
}

// offered looks at whether what rules take is there.
func (e *examination) offered(s *site, said config.App) {
	mails := word(s.Identity, "email") != "" || s.view.Identity == "jwt" || !slices.Contains([]string{"placeholder", "header", "whoami"}, s.view.Identity)
	if said.Email != nil && !mails {
		e.warn("email-no-address", s.at("identity"), "codes by mail are configured, and the identity of "+s.name()+" provides no addresses: nobody there is sent one", "write `email` in the block of its identity")
	}
	for i, r := range s.settings.Rules {
		at := s.at(fmt.Sprintf("rules[%d]", i))
		if len(r.Methods) == 1 && r.Methods[0] == config.MethodEmail && !mails {
			e.error("email-only", at, r.Action+" takes codes by mail alone, and the identity provides no addresses: nobody can pass", "write `email` in the block of the identity, or name another method")
		}
		if slices.Contains(r.Accept, config.AcceptAPI) && len(e.apis) == 0 {
			e.warn("accept-without-api", at, r.Action+" accepts grants of the API for servers, and no site has a step_up_api: there will be none", "mount step_up_api on an internal listener, or remove `accept api`")
		}
		if len(r.Methods) > 0 && !slices.ContainsFunc(r.Methods, func(m string) bool { return m != config.MethodRecoveryCode }) {
			e.warn("recovery-codes-only", at, r.Action+" takes recovery codes alone, of which everybody has a few", "name another method, or leave methods out")
		}
	}
}
