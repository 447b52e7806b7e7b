package caddymodule

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/coverage"
)

func init() {
	httpcaddyfile.RegisterDirective("step_up_api", parseAPI)
	httpcaddyfile.RegisterDirective("step_up", parseSite)
	// What is registered last stands first: step_up before step_up_api, which
	// ends every request, and that before handle and reverse_proxy, so that an
	// application never answers in its place.
	httpcaddyfile.RegisterDirectiveOrder("step_up_api", httpcaddyfile.After, "forward_auth")
	// After everything that says who is asking, before everything that
	// answers. rewrite, uri and try_files have run by then.
	httpcaddyfile.RegisterDirectiveOrder("step_up", httpcaddyfile.After, "forward_auth")
}

// parseSite reads the directive. It is not registered as a handler directive,
// since those take a matcher in front of everything, and a narrowed step_up would
// not see the requests for its own pages.
func parseSite(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	handler := &Handler{named: func(token caddyfile.Token) (config.Matchers, error) { return block.Named(h, token) }}
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	if err := handler.checkBeside(h); err != nil {
		return nil, err
	}
	return h.NewRoute(nil, handler), nil
}

// UnmarshalCaddyfile reads the site directive. Syntax:
//
//	step_up {
//		tenant        NAME
//		user_id       folded | exact
//		identity      placeholder {http.auth.user.id} | header NAME | jwt { … } | whoami URL { … }
//		credentials   { … }
//		allow_methods METHOD...
//		allow_upgrades PROTOCOL...
//		announce      none | user | action | method | amr | auth_time...
//
//		protect ACTION [* | PATH... | @NAME] {
//			match {
//				MATCHER...
//			}
//			unsafe  [not METHOD...]
//			except  PATH...
//			form    NAME    [VALUE... | not VALUE...]
//			json    POINTER [VALUE... | not VALUE...]
//			grant   one_time | time_based [DURATION]
//			methods METHOD...
//			label   TEXT
//			show    NAME | POINTER...
//			show {
//				NAME | POINTER LABEL
//			}
//			accept  api
//			mode    enforce | observe
//		}
//	}
//
// The directive takes no matcher. identity and at least one protect are
// required; each other setting is set at most once.
//
// After the action type stand what Caddy calls matcher tokens: * for every
// request of the site, any number of paths, or one @name defined in the site.
// The token and a match block are both required of a request; further match
// blocks are alternatives to the first. A rule has a token, a match block or
// unsafe. form and json may be repeated, and all of them have to hold;
// of the values of each one is enough, and without values the field only has to
// be there. delete* is every value that begins so, *delete every one that ends so;
// a star elsewhere is refused. After not stand values that are harmless: the rule
// then covers every request but those that certainly have the field once with one
// of them, compared by the letter, and so also those without the field. unsafe not
// takes further methods for safe. A value that is the word not is written in
// quotes. A path ending in /* also covers the path without the slash. Paths and
// path_regexp match in any case; an expression compares as it is written, so lower
// the path in it. Rules are tried in the order written, and the first that covers a
// request decides; a rule that an earlier one leaves nothing for is refused. One
// with mode observe counts and logs the requests it would decide, and later ones
// are tried as if it were not there.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	directive := d.Token()
	if d.NextArg() {
		return d.Errf("step_up takes no matcher, and %q looks like one: it would hide the gateway's own pages; name what is protected after `protect` instead", d.Val())
	}
	var protects []caddyfile.Token // where each rule stands
	h.Source = config.Source{"": block.Line(directive)}
	words := block.Lines{}
	err := block.Block{
		Name:    "step_up",
		Repeats: "protect",
		Lines:   words,
		Order:   []string{"tenant", "user_id", "identity", "credentials", "allow_methods", "allow_upgrades", "announce", "protect"},
		Settings: map[string]block.Setting{
			"tenant":  block.CheckedWord(&h.Tenant, "staff", config.CheckTenant),
			"user_id": block.CheckedWord(&h.UserID, config.UserIDExact, config.CheckUserID),
			"identity": func(d *caddyfile.Dispenser) error {
				raw, err := block.Guest(d, "step_up.identity", "source", "placeholder {http.auth.user.id}", h.Source, "identity")
				h.IdentityRaw = raw
				return err
			},
			"credentials": h.readCredentials,
			"allow_methods": func(d *caddyfile.Dispenser) error {
				if h.AllowMethods = d.RemainingArgs(); len(h.AllowMethods) == 0 {
					return d.Err("allow_methods takes the methods to let through, such as `allow_methods PURGE`")
				}
				return block.Checked(d, config.CheckAllowMethods(h.AllowMethods))
			},
			"allow_upgrades": func(d *caddyfile.Dispenser) error {
				if h.AllowUpgrades = d.RemainingArgs(); len(h.AllowUpgrades) == 0 {
					return d.Err("allow_upgrades takes the protocols that connections may be upgraded to besides websocket, such as `allow_upgrades tcp`")
				}
				return block.Checked(d, config.CheckAllowUpgrades(h.AllowUpgrades))
			},
			"announce": func(d *caddyfile.Dispenser) error {
				if h.Announce = d.RemainingArgs(); len(h.Announce) == 0 {
					return d.Err("announce takes what the application is told in header fields, such as `announce user action`, or none")
				}
				return block.Checked(d, config.CheckAnnounce(h.Announce))
			},
			"protect": func(d *caddyfile.Dispenser) error {
				h.Source[fmt.Sprintf("rules[%d]", len(protects))] = block.Line(d.Token())
				protects = append(protects, d.Token())
				return h.readRule(d)
			},
		},
	}.Read(d)
	if err != nil {
		return err
	}
	if err := h.check(); err != nil {
		if rule := (*config.RuleError)(nil); errors.As(err, &rule) {
			return block.At(protects[rule.Rule], rule.Err)
		}
		return words.At(directive, err)
	}
	return nil
}

// readRule reads one protect block.
func (h *Handler) readRule(d *caddyfile.Dispenser) error {
	protect, words := d.Token(), block.Lines{}
	var r config.Rule
	if err := block.Word(d, &r.Action, "WITHDRAW_FUNDS /transfer"); err != nil {
		return err
	}
	if err := config.CheckAction(r.Action); err != nil {
		return d.WrapErr(err)
	}
	if err := h.readTokens(d, &r); err != nil {
		return err
	}
	err := block.Block{
		Name:    "protect",
		Repeats: "match form json",
		Lines:   words,
		Order:   []string{"match", "unsafe", "except", "form", "json", "grant", "methods", "label", "show", "accept", "mode"},
		Settings: map[string]block.Setting{
			"match": func(d *caddyfile.Dispenser) error {
				set, err := block.Match(d)
				r.Match = append(r.Match, set)
				return err
			},
			"unsafe": func(d *caddyfile.Dispenser) error {
				r.Unsafe = true
				more, not, err := listed(d, "unsafe", "unsafe not PROPFIND REPORT")
				if err != nil {
					return err
				}
				if len(more) > 0 {
					return d.Errf("unsafe: %q is more than it takes: methods that it is to leave alone stand after not, such as `unsafe not PROPFIND REPORT`", more[0])
				}
				r.UnsafeNot = not
				return block.Checked(d, config.CheckUnsafeNot(not))
			},
			"except": func(d *caddyfile.Dispenser) error {
				if r.Except = d.RemainingArgs(); len(r.Except) == 0 {
					return d.Err("except takes the paths that need no proof, such as `except /login /logout`")
				}
				for _, p := range r.Except {
					if err := config.CheckPath(p); err != nil {
						return d.WrapErr(err)
					}
				}
				return nil
			},
			"form": func(d *caddyfile.Dispenser) error {
				if !d.NextArg() {
					return d.Err("form takes a field's name and the values that are meant, such as `form op withdraw pay`")
				}
				f := config.FormMatch{Name: d.Val()}
				var err error
				if f.Values, f.Not, err = listed(d, "form "+f.Name, "form op not login logout"); err != nil {
					return err
				}
				r.Form = append(r.Form, f)
				return block.Checked(d, config.CheckForm(f))
			},
			"json": func(d *caddyfile.Dispenser) error {
				if !d.NextArg() {
					return d.Err("json takes a JSON pointer and the values that are meant, such as `json /method torrent-remove`")
				}
				j := config.JSONMatch{Pointer: d.Val()}
				var err error
				if j.Values, j.Not, err = listed(d, "json "+j.Pointer, "json /method not session-get"); err != nil {
					return err
				}
				r.JSON = append(r.JSON, j)
				return block.Checked(d, config.CheckJSON(j))
			},
			"show": func(d *caddyfile.Dispenser) error {
				if r.Show = d.RemainingArgs(); len(r.Show) == 0 {
					if err := showBlock(d, &r); err != nil {
						return err
					}
				}
				if len(r.Show) == 0 {
					return d.Err("show takes the fields that the person is to see before they confirm, such as `show amount payee`")
				}
				return block.Checked(d, config.CheckShow(r.Show))
			},
			"grant": func(d *caddyfile.Dispenser) error {
				if err := block.Word(d, &r.Grant, "time_based 10m"); err != nil {
					return err
				}
				if d.NextArg() {
					ttl, err := config.ParseDuration(d.Val())
					if err != nil {
						return d.WrapErr(err)
					}
					if ttl == 0 {
						return d.Err("a grant cannot last 0: write a duration such as 10m")
					}
					r.TTL = ttl
				}
				return block.Checked(d, config.CheckGrant(r.Grant, r.TTL))
			},
			"methods": func(d *caddyfile.Dispenser) error {
				if r.Methods = d.RemainingArgs(); len(r.Methods) == 0 {
					return d.Err("methods takes the accepted ways to pass, such as `methods totp`")
				}
				return block.Checked(d, config.CheckMethods(r.Methods))
			},
			"accept": func(d *caddyfile.Dispenser) error {
				if err := block.Words(&r.Accept, config.AcceptAPI)(d); err != nil {
					return err
				}
				return block.Checked(d, config.CheckAccept(r.Accept))
			},
			"mode": func(d *caddyfile.Dispenser) error {
				if err := block.Word(d, &r.Mode, config.ModeObserve); err != nil {
					return err
				}
				return block.Checked(d, config.CheckMode(r.Mode))
			},
			"label": func(d *caddyfile.Dispenser) error {
				return block.Word(d, &r.Label, `"Withdraw funds"`)
			},
		},
	}.Read(d)
	if err != nil {
		return err
	}
	if err := r.Validate(); err != nil {
		return words.At(protect, err)
	}
	rule := fmt.Sprintf("rules[%d]", len(h.Rules))
	for word, token := range words {
		h.Source[rule+"."+word] = block.Line(token)
	}
	h.Rules = append(h.Rules, r)
	return nil
}

// listed reads the rest of a line: words that are meant, or after not those that
// are harmless. A quoted "not" is a word.
func listed(d *caddyfile.Dispenser, setting, example string) (meant, harmless []string, err error) {
	not := false
	for d.NextArg() {
		switch token := d.Token(); {
		case d.Val() == "not" && !token.Quoted():
			if not || len(meant) > 0 {
				return nil, nil, d.Errf("%s: write not once, before all values, which are those that are harmless then; a value that is the word not is written in quotes", setting)
			}
			not = true
		case not:
			harmless = append(harmless, d.Val())
		default:
			meant = append(meant, d.Val())
		}
	}
	if not && len(harmless) == 0 {
		return nil, nil, d.Errf("%s: after not stands what is harmless, such as `%s`", setting, example)
	}
	return meant, harmless, nil
}

// readTokens reads the matcher tokens after an action type.
func (h *Handler) readTokens(d *caddyfile.Dispenser, r *config.Rule) error {
	var paths caddyhttp.MatchPath
	for d.NextArg() {
		token := d.Val()
		switch {
		case r.Any || r.On != nil:
			return d.Errf("protect %s: after * or an @name nothing else may stand, and %q does", r.Action, token)
		case token == "*" && len(paths) == 0:
			r.Any = true
		case strings.HasPrefix(token, "@") && len(paths) == 0:
			if h.named == nil {
				return d.Errf("protect %s: %s is defined nowhere", r.Action, token)
			}
			set, err := h.named(d.Token())
			if err != nil {
				return err
			}
			if len(set) == 0 {
				return d.Errf("protect %s: %s matches nothing in particular: define it with at least one matcher, or write *", r.Action, token)
			}
			r.On = set
		case strings.HasPrefix(token, "/"):
			if err := config.CheckPath(token); err != nil {
				return d.WrapErr(err)
			}
			paths = append(paths, token)
		default:
			return d.Errf("protect %s: %q is no matcher: write paths beginning with a slash, one @name, or *", r.Action, token)
		}
	}
	if len(paths) > 0 {
		r.On = config.Matchers{"path": coverage.PathsJSON(paths)}
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
