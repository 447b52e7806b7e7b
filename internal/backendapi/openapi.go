package backendapi

import (
	_ "embed"
	"net/http"
)

// The document is written as YAML and served as JSON. A test holds the two
// together, and remakes the second with -update.
//
//go:generate go test -run TestDocumentIsServedAsWritten -update
//go:embed openapi.json
var document []byte

func documentRoutes() []route {
	return []route{{method: http.MethodGet, pattern: "/openapi.json", dialect: &plain, admit: byAnybody, serve: (*call).tellDocument}}
}

// tellDocument needs no key: it says nothing of who is enrolled, nor of what the
// operator set up.
func (c *call) tellDocument() error {
	return c.send(http.StatusOK, "application/json", document)
}
