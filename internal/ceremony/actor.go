package ceremony

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
)

// ActorKind is what kind of party did what an [Event] tells.
type ActorKind string

// The kinds of actors.
const (
	ByPerson   ActorKind = "person"   // a person, for themselves: `actor_id` is their user id, `actor_browser` their browser
	ByKey      ActorKind = "api_key"  // a server: `actor_id` and `actor_label` are those of its API key
	ByOperator ActorKind = "operator" // an operator: `actor_from` is from where they used the admin endpoint, `actor_claimed` who they say that they are
	BySystem   ActorKind = "system"   // the gateway itself
	ByNobody   ActorKind = "unknown"  // a caller that did not prove who they are
)

// Actor is who did what an [Event] tells. It holds no secret (S13).
type Actor struct {
	Kind ActorKind
	// ID is that of the person or API key; empty where nobody proved one.
	ID string
	// Label is the API key's.
	Label string
	// Browser names the person's browser, in a few characters of a digest; empty if
	// it is not known.
	Browser string
	// From is from where an operator came: an address, or "unix socket".
	From string
	// Claimed is who an operator says that they are. Nobody verified it.
	Claimed string
}

type actorKey struct{}

// ActingAs returns a context in which verbs report a as the actor, where the
// principal does not say it: an operator has none.
func ActingAs(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// asOperator is ctx for what only operators do, also where it is not known which
// one does it.
func asOperator(ctx context.Context) context.Context {
	if _, known := ctx.Value(actorKey{}).(Actor); known {
		return ctx
	}
	return ActingAs(ctx, Actor{Kind: ByOperator})
}

// Actor returns who acts in ctx on the principal's behalf.
func (p *Principal) Actor(ctx context.Context) Actor {
	if a, known := ctx.Value(actorKey{}).(Actor); known {
		return a
	}
	switch {
	case p.isServer():
		return Actor{Kind: ByKey, ID: p.Client, Label: p.ClientLabel}
	case p.User == "":
		return Actor{Kind: BySystem}
	}
	return Actor{Kind: ByPerson, ID: p.User, Browser: p.browserName()}
}

// browserName names the browser to those who read the log, who are not to learn
// what it is known by.
func (p *Principal) browserName() string {
	if p.Browser == [32]byte{} || p.Client != "" {
		return ""
	}
	sum := sha256.Sum256(append([]byte("step-up browser in the audit log\x00"), p.Browser[:]...))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// By fills in who acted and from where, unless the event says it.
func (e *Event) By(ctx context.Context, p *Principal) {
	if e.Actor.Kind == "" {
		e.Actor = p.Actor(ctx)
	}
	e.Address = cmp.Or(e.Address, p.Address)
}
