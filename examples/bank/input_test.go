package bank

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestParseAmount(t *testing.T) {
	for in, want := range map[string]cents{
		"12.50": 1250, " 12.5 ": 1250, "12": 1200, "0.01": 1, "007": 700, "1000000": maxAmount,
	} {
		if got, err := parseAmount(in); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", ".", "1.", ".5", "0", "0.00", "-1", "+1", "1,50", "1e3", "1.005", "1.-5", "1000000.01", "12345678", "١", "1 0"} {
		if got, err := parseAmount(in); err == nil {
			t.Errorf("%q: %d", in, got)
		}
	}
}

func TestDisplay(t *testing.T) {
	for in, want := range map[cents]string{
		0: "€0.00", 5: "€0.05", 123_45: "€123.45", 1_234_50: "€1,234.50", -1_234_567_89: "−€1,234,567.89", -100_00: "−€100.00",
	} {
		if got := in.Display(); got != want {
			t.Errorf("%d: %s, want %s", in, got, want)
		}
	}
}

func FuzzParseAmount(f *testing.F) {
	for _, s := range []string{"12.50", "0.01", "1000000", "1e9", "-1", "1.005", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseAmount(s)
		if err != nil {
			return
		}
		if c < 1 || c > maxAmount {
			t.Fatalf("%q is %d", s, c)
		}
		if again, err := parseAmount(c.String()); err != nil || again != c {
			t.Fatalf("%q is %d, then %d, %v", s, c, again, err)
		}
	})
}

func TestLocalTarget(t *testing.T) {
	for _, s := range []string{"/", "/transfer", "/a?b=c&d=%2F", "/.step-up/challenge/x"} {
		if got := localTarget(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	for _, s := range []string{
		"", "transfer", "//evil.example", `/\evil.example`, "/\t/evil.example", "/\n/evil.example", "https://evil.example",
		"javascript:alert(1)", "/login", "/login?next=/", "/%zz", "/ü", "/" + strings.Repeat("a", maxBack),
	} {
		if got := localTarget(s); got != "/" {
			t.Errorf("%q became %q", s, got)
		}
	}
}

func FuzzLocalTarget(f *testing.F) {
	for _, s := range []string{"/", "//evil.example", `/\evil.example`, "/a?b#c", "/\t/evil.example"} {
		f.Add(s)
	}
	base := &url.URL{Scheme: "http", Host: "bank.example", Path: "/login"}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := base.Parse(localTarget(s))
		if err != nil || u.Scheme != base.Scheme || u.Host != base.Host {
			t.Fatalf("%q leads to %v, %v", s, u, err)
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	now := time.Date(2026, time.March, 17, 10, 0, 0, 0, time.UTC)
	ss := &sessions{byID: make(map[string]session)}
	first := ss.begin("alice", now)
	for range maxSessions + 10 {
		now = now.Add(time.Millisecond)
		ss.begin("bob", now)
	}
	if _, alive := ss.byID[first.id]; alive || len(ss.byID) != maxSessions {
		t.Errorf("%d sessions, the oldest alive: %v", len(ss.byID), alive)
	}
}

func TestEventsAreBounded(t *testing.T) {
	l := seed(time.Now())
	for range maxEvents + 10 {
		l.record(time.Now(), "alice", "signed in")
	}
	if got := len(l.latestEvents()); got != maxEvents {
		t.Errorf("%d events", got)
	}
}
