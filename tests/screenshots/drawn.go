package main

import (
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/pages/pagestest"
	"github.com/stepup-gateway/caddy-stepup/tests/browser"
)

// drawn shows every page in every state, with scripts, in the languages; and then
// those of long names and words.
func drawn(s *session, b *browser.Browser, dir string, langs []string) error {
	server := httptest.NewServer(pagestest.Handler())
	defer server.Close()
	// Passkeys are for secure contexts, of which localhost is one.
	site := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	c := &camera{Window: b.Open(s, browser.Options{}), s: s, dir: dir}
	for _, long := range []string{"", "long"} {
		for n, name := range pagestest.Names() {
			// What everybody reads is the same, however long a name is.
			if long != "" && strings.HasPrefix(name, "message-") {
				continue
			}
			for _, lang := range langs {
				c.Go(site + "/" + name + "?lang=" + lang + "&long=" + long)
				c.shoot(fmt.Sprintf("%02d%s-%s-%s", n+30, long, name, lang))
			}
		}
	}
	for _, complaint := range c.Complaints() {
		return fmt.Errorf("the browser complains: %s", complaint)
	}
	return nil
}
