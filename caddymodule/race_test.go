//go:build race

package caddymodule_test

// slowdown is how much longer our code may take beside the kernel's, since the race
// detector watches it.
const slowdown = 8
