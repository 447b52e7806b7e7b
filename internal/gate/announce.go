package gate

import (
	"strconv"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// Announced is what the application is told of a request that was granted: a set
// of headers. Each costs time on every request, most where the request's header
// map has to grow for it. What clients send under any of the names is deleted
// whatever is announced; see scrub.
type Announced uint8

// What may be announced.
const (
	AnnounceUser     Announced = 1 << iota // Step-Up-User: the user, as the identity source wrote the name
	AnnounceAction                         // Step-Up-Action: the action type
	AnnounceMethod                         // Step-Up-Method: the means of proof
	AnnounceAMR                            // Step-Up-Amr: the same in the words of RFC 8176
	AnnounceAuthTime                       // Step-Up-Auth-Time: when it was given, in seconds since 1970

	AnnounceAll = AnnounceUser | AnnounceAction | AnnounceMethod | AnnounceAMR | AnnounceAuthTime
)

// announce tells the application of the request what it may know. room is for the
// strings if they fit; else they get room of their own. It belongs to this one
// request: handlers may change a header's values in place.
func (v *visit) announce(who *ceremony.Principal, g *grants.Grant, room []string) {
	what := v.g.o.Announce
	if what&^(AnnounceUser|AnnounceAction) != 0 || room == nil {
		room = make([]string, 0, 5)
	}
	set := func(is Announced, name, value string) {
		if what&is != 0 {
			room = append(room, value)
			n := len(room)
			v.r.Header[name] = room[n-1 : n : n] // no room to grow into the next
		}
	}
	set(AnnounceUser, "Step-Up-User", who.Name)
	set(AnnounceAction, "Step-Up-Action", v.rule.Demand.Action.String())
	if what&^(AnnounceUser|AnnounceAction) == 0 {
		return
	}
	set(AnnounceMethod, "Step-Up-Method", g.Methods.String())
	set(AnnounceAMR, "Step-Up-Amr", g.Methods.AMR())
	if what&AnnounceAuthTime != 0 {
		set(AnnounceAuthTime, "Step-Up-Auth-Time", strconv.FormatInt(g.AuthTime/int64(time.Second), 10))
	}
}
