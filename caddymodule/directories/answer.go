// Package directories has the directories of users that come with the gateway, as
// Caddy modules of the namespace step_up.directories, and the types that every
// directory speaks in; see caddymodule.Directory.
package directories

import "github.com/stepup-gateway/caddy-stepup/internal/directory"

// User is whom a directory is asked about.
type User = directory.User

// Answer is what a directory says of a user.
type Answer = directory.Answer
