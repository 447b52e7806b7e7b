// Package cluster tests the engines that several gateways share, on real servers. Its
// tests have the build tag components.
package cluster
