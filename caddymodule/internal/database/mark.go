package database

import "github.com/stepup-gateway/caddy-stepup/store"

// marked is an engine that keeps a mark outside of the database.
type marked interface{ KeptMark() string }

// sameMark reports whether two configurations keep the same mark of a database.
func sameMark(a, b store.Engine) bool {
	x, ok := a.(marked)
	y, same := b.(marked)
	return ok != same || !ok || x.KeptMark() == y.KeptMark()
}
