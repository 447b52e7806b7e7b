package config

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time. In JSON it is a string such as "90s", "10m" or
// "1d", or a whole number of nanoseconds, as Caddy's own durations are; it is
// written as a string.
type Duration time.Duration

// day is what "d" stands for: always 24 hours, whatever the calendar says.
const day = 24 * time.Hour

// ParseDuration reads what time.ParseDuration reads, and whole days in front:
// "1d", "1d12h". Negative lengths are refused: no setting has a use for them.
func ParseDuration(s string) (Duration, error) {
	rest := s
	var days time.Duration
	if n, after, ok := strings.Cut(s, "d"); ok {
		count, err := strconv.ParseUint(n, 10, 16)
		if err != nil {
			return 0, notADuration(s)
		}
		days, rest = time.Duration(count)*day, after
		if rest == "" {
			return Duration(days), nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || days+d < days {
		return 0, notADuration(s)
	}
	return Duration(days + d), nil
}

func notADuration(s string) error {
	return fmt.Errorf("%q is not a duration: write a number with a unit, such as 90s, 10m or 2h", s)
}

// String returns the shortest form that ParseDuration reads back: "10m", not
// "10m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalJSON writes the string form.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads either form.
func (d *Duration) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		parsed, err := ParseDuration(s)
		if err != nil {
			return err
		}
		*d = parsed
		return nil
	}
	ns, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || ns < 0 {
		return notADuration(string(b))
	}
	*d = Duration(ns)
	return nil
}

// Within checks d against its limits. Zero stands for "left out" and passes.
func Within(setting string, d, low, high Duration) error {
	if d != 0 && (d < low || d > high) {
		return fmt.Errorf("%s must be between %s and %s, not %s", setting, low, high, d)
	}
	return nil
}
