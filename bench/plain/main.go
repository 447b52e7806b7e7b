// Command plain is Caddy with its standard modules alone: what the gateway's
// size and memory are measured against.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() { caddycmd.Main() }
