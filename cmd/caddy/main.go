// Command caddy is Caddy with its standard modules and the step-up gateway.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/stepup-gateway/caddy-stepup"
)

func main() {
	caddycmd.Main()
}
