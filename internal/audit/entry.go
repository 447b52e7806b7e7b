package audit

import (
	"time"
	"unicode/utf8"
)

// Entry is one decision, as every output of the audit log tells it; schema.json
// says what the fields mean. It holds no code, token, secret, phone number or mail
// address (S13).
type Entry struct {
	Time         time.Time `json:"decided_at"`
	Node         string    `json:"node,omitempty"`
	Event        string    `json:"event"`
	Outcome      string    `json:"outcome"`
	Cause        string    `json:"cause,omitempty"`
	Tenant       string    `json:"tenant,omitempty"`
	User         string    `json:"user,omitempty"`
	Actor        string    `json:"actor"`
	ActorID      string    `json:"actor_id,omitempty"`
	ActorLabel   string    `json:"actor_label,omitempty"`
	ActorBrowser string    `json:"actor_browser,omitempty"`
	ActorFrom    string    `json:"actor_from,omitempty"`
	ActorClaimed string    `json:"actor_claimed,omitempty"`
	Action       string    `json:"action_type,omitempty"`
	Method       string    `json:"method,omitempty"`
	Object       string    `json:"object,omitempty"`
	Address      string    `json:"client_ip,omitempty"`
	LeftOut      int       `json:"left_out,omitempty"`
	TornBytes    int       `json:"torn_bytes,omitempty"`
	TornDigest   string    `json:"torn_digest,omitempty"`
	MissingFrom  uint64    `json:"missing_from,omitempty"`
}

// Field is a member of an entry. Value is a string or a number.
type Field struct {
	Name  string
	Value any
}

// Fields returns the members that are set, as JSON has them, in its order.
func (e *Entry) Fields() []Field {
	fields := []Field{{"decided_at", e.Time.UTC().Format(time.RFC3339Nano)}}
	for _, f := range []struct {
		name, value string
		always      bool
	}{
		{"node", e.Node, false}, {"event", e.Event, true}, {"outcome", e.Outcome, true}, {"cause", e.Cause, false},
		{"tenant", e.Tenant, false}, {"user", e.User, false},
		{"actor", e.Actor, true}, {"actor_id", e.ActorID, false}, {"actor_label", e.ActorLabel, false},
		{"actor_browser", e.ActorBrowser, false}, {"actor_from", e.ActorFrom, false}, {"actor_claimed", e.ActorClaimed, false},
		{"action_type", e.Action, false}, {"method", e.Method, false}, {"object", e.Object, false}, {"client_ip", e.Address, false},
		{"torn_digest", e.TornDigest, false},
	} {
		if f.always || f.value != "" {
			fields = append(fields, Field{f.name, f.value})
		}
	}
	for _, f := range []struct {
		name  string
		value uint64
	}{{"left_out", uint64(e.LeftOut)}, {"torn_bytes", uint64(e.TornBytes)}, {"missing_from", e.MissingFrom}} {
		if f.value > 0 {
			fields = append(fields, Field{f.name, f.value})
		}
	}
	return fields
}

// maxText bounds a text in an entry, in bytes: no more of it is kept.
const maxText = 512

// bound cuts what is too long, and makes of all texts what JSON can hold.
func (e *Entry) bound() {
	for _, s := range []*string{
		&e.Node, &e.Event, &e.Outcome, &e.Cause, &e.Tenant, &e.User, &e.Actor, &e.ActorID, &e.ActorLabel, &e.ActorBrowser,
		&e.ActorFrom, &e.ActorClaimed, &e.Action, &e.Method, &e.Object, &e.Address, &e.TornDigest,
	} {
		if len(*s) > maxText {
			cut := maxText
			for !utf8.RuneStart((*s)[cut]) {
				cut--
			}
			*s = (*s)[:cut]
		}
	}
}
