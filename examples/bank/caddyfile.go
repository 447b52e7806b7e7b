package bank

import _ "embed"

// Caddyfile puts the gateway in front of the bank: the example itself, so that
// demos and tests run what people read.
//
//go:embed Caddyfile
var Caddyfile string
