// Package stepup is a step-up enforcement gateway for Caddy: it asks for a second
// factor, action by action, in front of a web application that knows nothing of
// it.
//
// The application stays as it is. Caddy is put in front, and a few lines of its
// configuration say what is protected and what proof it takes:
//
//	step_up {
//		identity placeholder {http.auth.user.id}
//		protect WITHDRAW_FUNDS /transfer {
//			grant one_time 2m
//		}
//	}
//
// Importing this package adds the gateway to a Caddy build, which is what
//
//	xcaddy build --with github.com/stepup-gateway/caddy-stepup
//
// does; cmd/caddy is such a build. The configuration is described in package
// caddymodule, where it is read, and field by field in package config.
package stepup

import _ "github.com/stepup-gateway/caddy-stepup/caddymodule" // registers Caddy's modules
