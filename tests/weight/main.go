// Command weight prints what people load: the bytes and requests of every page,
// and the way from a challenge with a pasted code to the application's page.
//
//	go run ./tests/weight
//
// Pages are weighed as they are mostly seen, and as heavy as they can be: with
// long names, the largest brand, and in the language in which they are longest.
// The way is that of the real binary in front of the sample bank, in a real
// Chromium. What must hold of it is in tests/components.
package main

import (
	"fmt"
	"log"
	"os"
	"text/tabwriter"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
	"github.com/stepup-gateway/caddy-stepup/tests/weight/scales"
)

func main() {
	defer gateway.Cleanup()
	if err := gateway.Program(weigh); err != nil {
		gateway.Cleanup()
		log.Fatal(err)
	}
}

func weigh(t gateway.T) {
	out := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(out, "page\teveryday\theaviest\tin\ton the wire\trequests")
	for _, p := range scales.Pages(t) {
		fmt.Fprintf(out, "%s\t%d\t%d\t%s\t%d\t%d\n", p.Name, p.Everyday, p.Heaviest, p.In, p.Wire, p.Requests)
	}
	out.Flush()
	for _, w := range scales.Ways(t) {
		fmt.Printf("\nfrom the challenge to %s: %d ms from paste to page\n", w.Name, w.Took.Milliseconds())
		for _, s := range w.Steps {
			how := ""
			if s.Redirect {
				how = "  (redirected)"
			}
			fmt.Fprintf(out, "%s %s\t%d\t%d bytes%s\n", s.Method, s.Path, s.Status, s.Bytes, how)
		}
		out.Flush()
	}
}
