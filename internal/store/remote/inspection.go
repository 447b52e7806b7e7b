package remote

import (
	"strings"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// An Inspection is what was found of a database without changing anything in it.
type Inspection struct {
	// Name is where the database is, without what is secret.
	Name    string   `json:"name"`
	Servers []Server `json:"servers"`
	// Schema is the version of what the gateway makes there; 0: nothing was made, or
	// nothing could be read.
	Schema int `json:"schema,omitempty"`
	// Owner is the role that owns the tables.
	Owner string `json:"owner,omitempty"`
	// Key is the id of the configured key, if the database belongs to it.
	Key string `json:"key,omitempty"`
	// Generation is that of the database.
	Generation uint64 `json:"generation"`
	// ClockSeconds is by how much the clock of the server, or of a gateway that uses
	// the database, is ahead of this machine's, at least.
	ClockSeconds float64 `json:"clock_seconds"`

	// Faults are what keeps a gateway from using the database, or should not be left
	// alone.
	Faults []Fault `json:"-"`
	// Record is what is stored under the key that was asked for; nil: nothing.
	Record []byte `json:"-"`
}

// A Server is one of those that the settings name.
type Server struct {
	Name string `json:"name"`
	// Problem says why it could not be asked; all else is empty then.
	Problem string `json:"problem,omitempty"`
	Version string `json:"version,omitempty"`
	// TLS is how the connection is encrypted; empty: it is not.
	TLS string `json:"tls,omitempty"`
	// Role is what the server is among those of the database.
	Role string `json:"role,omitempty"`
	// Note is what else is to know of it.
	Note string `json:"note,omitempty"`
}

// A Fault is one thing that an operator should look at.
type Fault struct {
	Code    string // the same from version to version
	Grave   bool   // what is protected is refused for it
	Problem string
	Advice  string
}

// Add notes a fault.
func (i *Inspection) Add(grave bool, code, problem, advice string) {
	i.Faults = append(i.Faults, Fault{code, grave, problem, advice})
}

// Sentence is the text of an error without the kinds that stand before it.
func Sentence(err error) string {
	text, short := err.Error(), ""
	for text != short {
		short = text
		for _, kind := range []error{store.ErrUnfit, store.ErrUnavailable} {
			text = strings.TrimPrefix(text, kind.Error()+": ")
		}
	}
	return text
}
