//go:build components

package cluster

import (
	"syscall"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/cluster/rig"
)

// fault breaks something, and mends it where that does not mend itself.
type fault struct {
	kind string
	do   func()
}

// deck returns every fault once, in an order of chance, with the early ones of the
// servers among the first ten.
func (s *system) deck(on servers) []fault {
	first, others := on.faults(s)
	rest := append(others,
		fault{"gateway killed", s.killGateway},
		fault{"gateway paused", s.pauseGateway},
		fault{"link cut", func() { s.breakLink(rig.Cut) }},
		fault{"link stalled", func() { s.breakLink(rig.Stalled) }},
		fault{"link deaf", func() { s.breakLink(rig.Deaf) }},
		fault{"link dropping", func() { s.breakLink(rig.Dropping) }},
	)
	if s.setsClocks() {
		rest = append(rest,
			fault{"clock off by 1 s", func() { s.moveClock([]string{"1s", "-1s"}, false) }},
			fault{"clock off by 6 s", func() { s.moveClock([]string{"6s", "-6s"}, true) }})
	}
	mix := func(all []fault) { s.chance.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] }) }
	mix(rest)
	most := 10 - len(first)
	first = append(first, rest[:most]...)
	mix(first)
	return append(first, rest[most:]...)
}

// hold is how long a fault lasts: from one to four seconds.
func (s *system) hold() {
	time.Sleep(time.Second + time.Duration(s.chance.Int64N(int64(3*time.Second))))
}

// hang lets servers answer nothing for a while.
func (s *system) hang(on servers) {
	goOn := on.hang()
	s.hold()
	goOn()
}

func (s *system) anyGate() int { return s.chance.IntN(len(s.gates)) }

func (s *system) killGateway() {
	g := s.gates[s.anyGate()]
	g.Kill()
	g.Run(s.file)
}

func (s *system) pauseGateway() {
	pid := s.gates[s.anyGate()].Pid()
	syscall.Kill(-pid, syscall.SIGSTOP)
	s.hold()
	syscall.Kill(-pid, syscall.SIGCONT)
}

func (s *system) breakLink(f rig.Fault) {
	i := s.anyGate()
	for _, link := range s.links[i] {
		link.Set(f)
	}
	s.hold()
	for _, link := range s.links[i] {
		link.Set(rig.Whole)
	}
}

// moveClock sets a gateway's clock off; one that is too far off is to refuse, once it
// was seen to be.
func (s *system) moveClock(offsets []string, refuses bool) {
	i := s.anyGate()
	s.setClock(i, offsets[s.chance.IntN(len(offsets))])
	s.hold()
	s.hold()
	if refuses {
		until(s.t, "a refusal for the clock", func() bool { return s.protects(i) == 503 })
	} else if got := s.protects(i); got != 401 {
		s.t.Errorf("gateway %d answers %d though its clock will do", i+1, got)
	}
	s.setClock(i, "0s")
}

// protects returns the status that a gateway has for somebody who has proved
// nothing.
func (s *system) protects(i int) int {
	s.t.Helper()
	x := s.gates[i].NewPerson("nobody")
	x.Host = "bank.test"
	resp, _, err := x.Do("GET", "/reports/1", map[string]string{"Accept": "application/json"}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode
}
