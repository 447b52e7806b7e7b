//go:build !race

package caddymodule_test

// slowdown is how much longer our code may take, see race_test.go.
const slowdown = 1
