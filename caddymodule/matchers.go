package caddymodule

import (
	"encoding/json"
)

// pathsJSON is the JSON form of a path matcher.
func pathsJSON(paths []string) json.RawMessage {
	out, _ := json.Marshal(paths) // strings always marshal
	return out
}
