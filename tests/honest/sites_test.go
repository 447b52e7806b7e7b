package honest_test

import (
	"fmt"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// site is one way in which an operator may protect an application.
type site struct {
	name string
	// signedIn says that alice asks, proved that she does, for the rules that the
	// requests meet.
	signedIn, proved bool
	every            int // only every so many-th request, since holding one costs a write to disk
	before           string
	identity         string
	rules            string
	port             string
}

// vars takes the user from a header, as the tests' own application has it.
const vars = "vars user {http.request.header." + gateway.Header + "}"

// sites are tried with every request.
var sites = []*site{
	// Rules for what is none of the recorded applications' business.
	{name: "elsewhere", before: vars, identity: "placeholder {http.vars.user}", rules: `
		protect ZONE /admin-zone/* /secret /settings/keys* {
			grant time_based 10m
		}
		protect TRANSFER /bank/transfer {
			form op withdraw pay
			grant one_time
		}
		protect RPC /private/rpc {
			json /method session-close
			grant one_time
		}
		protect BY_PATTERN @pattern {
			grant time_based 10m
		}
		protect BY_EXPRESSION {
			match {
				path /management/*
				method POST PUT
			}
			grant one_time
		}`},
	// The recommended start, with what such applications leave out.
	{name: "unsafe", before: vars, identity: "placeholder {http.vars.user}", rules: `
		protect CHANGE {
			unsafe
			except /login /wp-login.php /users/sign_in /public/* /transmission/rpc /api/v1/query*
			grant time_based 10m
		}`},
	// A field that may come from anywhere.
	{name: "fields", before: vars, identity: "placeholder {http.vars.user}", rules: `
		protect ERASE * {
			form erase everything
			grant one_time
		}
		protect ERASE_RPC * {
			json /erase everything
			grant one_time
		}`},
	// Rules in the applications' own rooms, which a request may be read into.
	{name: "rooms", before: vars, identity: "placeholder {http.vars.user}", rules: `
		protect ADMIN {
			match {
				path /wp-admin/* /admin/* */admin.php /users/*
			}
			grant time_based 10m
		}
		protect STORE /svn/*/trunk/* /alice/* /one/* {
			grant one_time
		}
		protect PACKAGES {
			match {
				path /@scope-1* /-/user/* *.tgz
			}
			grant one_time 1m
		}
		protect EDIT {
			match {
				path /doku.php /index.php /graphql*
				query do=edit action=edit
			}
			grant time_based 5m
		}`},
	// Everything is protected, and alice has a proof.
	{name: "proved", signedIn: true, proved: true, before: vars, identity: "placeholder {http.vars.user}", rules: everything},
	{name: "whoami", signedIn: true, proved: true, identity: "whoami http://WHOAMI/me {\n json /user\n session_cookie sid\n }", rules: everything},
	{name: "password", signedIn: true, proved: true, before: "basic_auth {\n alice HASH\n }", identity: "placeholder {http.auth.user.id}", rules: everything},
	// Everything that changes something is protected, and alice has no proof yet.
	{name: "asked", signedIn: true, every: 10, before: vars, identity: "placeholder {http.vars.user}", rules: `
		protect CHANGE {
			unsafe
			grant one_time
		}`},
}

const everything = `
		protect ALL * {
			grant time_based 1h
		}`

// caddyfile has all sites, each with an application that answers with what it got.
func caddyfile(whoami, hash string) string {
	var b strings.Builder
	b.WriteString(`{
	admin off
	auto_https off
	log {
		output discard
	}
	step_up {
		store badger {
			dir {{dir}}/data
		}
		key_file {{dir}}/key
		enrollment first_use
		totp {
			skew 2
		}
		allow_plain_http
	}
}
`)
	for i, s := range sites {
		fmt.Fprintf(&b, `http://:%s {
	bind 127.0.0.1
	@pattern path_regexp ^/(v[0-9]+/)?danger/
	%s
	step_up {
		tenant t%d
		identity %s
		%s
	}
	honest_echo
}
`, s.port, strings.ReplaceAll(s.before, "HASH", hash), i, strings.ReplaceAll(s.identity, "WHOAMI", whoami), s.rules)
	}
	return b.String()
}
