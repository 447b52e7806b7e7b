//go:build race

package readings

// slowdown is how much longer our code may take beside the kernel's, since the race
// detector watches it.
const slowdown = 8
