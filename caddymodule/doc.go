// Package caddymodule is the gateway as Caddy modules. Importing it registers
//
//	step_up                        the app: settings for all sites, the database
//	http.handlers.step_up          the handler, with its directive of the same name
//	http.handlers.step_up_resume   what stands before all routes, put there by step_up
//	http.handlers.step_up_scrub    what stands before error routes, put there by step_up
//	http.handlers.step_up_api      the API for servers, with its directive step_up_api
//	admin.api.step_up              routes of the admin endpoint under /step_up/
//	step_up.stores.badger          state in an embedded Badger database
//	step_up.stores.postgres        …, in a PostgreSQL database that several gateways share
//	step_up.stores.etcd            …, in etcd, likewise
//	step_up.identity.placeholder   who is asking, from one of Caddy's placeholders
//	step_up.identity.header        …, from a header field that a trusted proxy sets
//	step_up.identity.jwt           …, from a signed token
//	step_up.identity.whoami        …, as the application itself says
//	step_up.senders.webhook        codes by SMS, through a receiver of the operator's
//	step_up.senders.smtp           …, through a mail server
//	step_up.senders.file           …, into a file, for trying out
//
// and the command `caddy step-up`.
//
// It promises that a configuration which protects less than it seems to is
// refused when it loads, with file and line; that a refused or half-loaded
// configuration changes nothing about the running one; and that whatever goes
// wrong inside the handler ends the request here, never at the application.
//
// It decides nothing about requests or grants: the way of a request is package
// gate's, what holds for a grant package ceremony's. This package reads the
// configuration, runs Caddy's matchers on the readings it is given, and keeps one
// database open across reloads.
package caddymodule

import (
	_ "github.com/stepup-gateway/caddy-stepup/caddymodule/command"           // caddy step-up
	_ "github.com/stepup-gateway/caddy-stepup/caddymodule/identity"          // step_up.identity.*
	_ "github.com/stepup-gateway/caddy-stepup/caddymodule/internal/adminapi" // admin.api.step_up
	_ "github.com/stepup-gateway/caddy-stepup/caddymodule/senders"           // step_up.senders.*
	_ "github.com/stepup-gateway/caddy-stepup/caddymodule/stores"            // step_up.stores.*
)
