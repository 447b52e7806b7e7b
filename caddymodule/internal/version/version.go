// Package version is which version of the gateway this is.
package version

import (
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// Number is the version by which CHANGELOG.md describes what changed (Semantic
// Versioning 2.0.0).
const Number = "0.1.0"

// Info is a version and what it was built from.
type Info struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the repository; empty where the build does not know it
	Modified bool   `json:"modified,omitempty"` // the files differ from the revision
	Caddy    string `json:"caddy"`
	Go       string `json:"go"`
}

// modulePath is this module's, as go.mod has it.
const modulePath = "github.com/stepup-gateway/caddy-stepup"

// Get returns what the running program was built from.
func Get() Info {
	simple, _ := caddy.Version()
	info := Info{Version: Number, Caddy: simple, Go: runtime.Version()}
	build, ok := debug.ReadBuildInfo()
	if !ok || build.Main.Path != modulePath {
		return info // a build of somebody's: the revision is of their repository
	}
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			info.Revision = s.Value
		case "vcs.modified":
			info.Modified = s.Value == "true"
		}
	}
	return info
}

// String is a line for people.
func (i Info) String() string {
	of := []string{"Caddy " + i.Caddy, i.Go}
	if i.Revision != "" {
		revision := "revision " + i.Revision[:min(len(i.Revision), 12)]
		if i.Modified {
			revision += " with changes"
		}
		of = append([]string{revision}, of...)
	}
	return i.Version + " (" + strings.Join(of, ", ") + ")"
}
