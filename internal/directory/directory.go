// Package directory asks who works here: whether there is a user of some name, in a
// file of names or at another server.
//
// A directory lets nobody in. It is asked where a server or an operator writes a
// name, which may be misspelled; people are named by an identity source. What
// cannot be told is an error, never an answer.
package directory

import "context"

// User is whom a directory is asked about.
type User struct {
	// ID is the user id in the form in which its tenant keeps it: in lower case,
	// unless the tenant compares ids exactly.
	ID string
	// Same reports whether an id, as the directory writes it, is this user's.
	Same func(id string) bool
	// Suggest is set if Answer.Near is wanted.
	Suggest bool
}

// Answer is what a directory says of a user.
type Answer struct {
	Found bool
	// Near is the id of another user, which may have been meant; empty where none
	// is near, none is wanted, or the directory cannot tell. It is for the
	// operator's eyes only.
	Near string
}

// Directory is asked for users. See File and HTTP.
type Directory interface {
	Lookup(ctx context.Context, user User) (Answer, error)
}

// Interface guards
var (
	_ Directory = (*File)(nil)
	_ Directory = (*HTTP)(nil)
)
