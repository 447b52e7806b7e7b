package identity_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

// TestS21OneCookie: of two cookies of one name, or of names that some framework
// takes for one, neither is believed.
func TestS21OneCookie(t *testing.T) {
	const name = "PHPSESSID"
	for _, c := range []struct {
		lines []string
		want  string // "" none, "!" ambiguous
	}{
		{nil, ""},
		{[]string{"a=b"}, ""},
		{[]string{"PHPSESSID=x"}, "x"},
		{[]string{"a=b; PHPSESSID=x; c=d"}, "x"},
		{[]string{"a=b", "PHPSESSID=x"}, "x"},
		{[]string{"a=b;PHPSESSID = x "}, "x"},
		{[]string{"PHPSESSID=x=y"}, "x=y"},
		{[]string{"XPHPSESSID=x; PHPSESSIDX=y"}, ""},
		{[]string{"PHPSESSID=x; PHPSESSID=y"}, "!"},
		{[]string{"PHPSESSID=x; PHPSESSID=x"}, "!"},
		{[]string{"PHPSESSID=x; PHPSESSID"}, "!"},
		{[]string{"PHPSESSID=x", "PHPSESSID=y"}, "!"},
		{[]string{"PHPSESSID=x; phpsessid=y"}, "!"},
		{[]string{"PHP%53ESSID=y; PHPSESSID=x"}, "!"},
		{[]string{"phpsessid=y"}, "!"},
		{[]string{`a="b; PHPSESSID=y"; PHPSESSID=x`}, "!"},
		{[]string{"a=b, PHPSESSID=y; PHPSESSID=x"}, "!"},
		{[]string{"a=b,PHPSESSID=y"}, "!"},
		{[]string{"PHPSESSID=x,PHPSESSID=y"}, "!"},
		{[]string{"PHPSESSID=x,y"}, "x,y"},
	} {
		value, found, err := identity.OneCookie(http.Header{"Cookie": c.lines}, name)
		switch {
		case c.want == "!":
			if !errors.Is(err, identity.ErrAmbiguous) || value != "" {
				t.Errorf("%q: %q, %v, want ambiguous", c.lines, value, err)
			}
		case err != nil || value != c.want || found != (c.want != ""):
			t.Errorf("%q: %q, %v, %v, want %q", c.lines, value, found, err, c.want)
		}
	}
	if _, _, err := identity.OneCookie(http.Header{"Cookie": {"a.b=x; a_b=y"}}, "a_b"); !errors.Is(err, identity.ErrAmbiguous) {
		t.Errorf("a dot and an underscore, which PHP takes for one: %v", err)
	}
}

// TestS21Bearer: two Authorization fields are believed neither.
func TestS21Bearer(t *testing.T) {
	for _, c := range []struct {
		fields []string
		want   string
		found  bool
	}{
		{nil, "", false},
		{[]string{"Bearer abc"}, "abc", true},
		{[]string{"bearer  abc "}, "abc", true},
		{[]string{"Bearer"}, "", true},
		{[]string{"Basic abc"}, "", false},
		{[]string{"Bearer a, Bearer b"}, "a, Bearer b", true},
	} {
		token, found, err := identity.Bearer(http.Header{"Authorization": c.fields})
		if token != c.want || found != c.found || err != nil {
			t.Errorf("%q: %q, %v, %v", c.fields, token, found, err)
		}
	}
	for _, two := range [][]string{{"Bearer a", "Bearer b"}, {"Bearer a", "Bearer a"}, {"Basic a", "Bearer b"}, {"", ""}} {
		if token, _, err := identity.Bearer(http.Header{"Authorization": two}); token != "" || !errors.Is(err, identity.ErrAmbiguous) {
			t.Errorf("%q: %q, %v, want ambiguous", two, token, err)
		}
	}
}

// What net/http itself finds twice, OneCookie does not believe; and what it gives,
// net/http finds as well.
func FuzzOneCookie(f *testing.F) {
	for _, s := range []string{"sid=x", "a=b; sid=x", "sid=x; sid=y", `a="x; sid=y"`, "sid", "=;=", "a,sid=x", " sid = x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		h := http.Header{"Cookie": {line}}
		value, found, err := identity.OneCookie(h, "sid")
		theirs := (&http.Request{Header: h}).CookiesNamed("sid")
		if len(theirs) > 1 && err == nil {
			t.Errorf("%q has two, and gave %q", line, value)
		}
		if len(theirs) == 1 && err == nil && (!found || strings.Trim(value, "\" \t") != strings.Trim(theirs[0].Value, "\" \t")) {
			t.Errorf("%q gave %q, net/http %q", line, value, theirs[0].Value)
		}
		if err != nil && (found || value != "") {
			t.Errorf("%q gave %q beside %v", line, value, err)
		}
	})
}

func FuzzBearer(f *testing.F) {
	f.Add("Bearer abc")
	f.Add("bearer")
	f.Fuzz(func(t *testing.T, field string) {
		token, found, err := identity.Bearer(http.Header{"Authorization": {field}})
		if errors.Is(err, identity.ErrAmbiguous) && !found && token == "" {
			return
		}
		if err != nil || !found && token != "" || !strings.HasSuffix(strings.TrimRight(field, " \t"), token) {
			t.Errorf("%q gave %q, %v, %v", field, token, found, err)
		}
	})
}

// An application that reads the field in another way would see another user than
// the one of the cookie beside it.
func TestS21BearerInAnotherPlaceIsAmbiguous(t *testing.T) {
	for _, field := range []string{
		"Bearer\tabc", "bearer\u00a0abc", "Bearer\xa0abc", "Bearer,abc", "Bearerabc", "BearerX abc",
		"Basic YTpi Bearer abc", "Basic YTpi, BEARER abc", "x\tBearer abc",
	} {
		token, found, err := identity.Bearer(http.Header{"Authorization": {field}})
		if !errors.Is(err, identity.ErrAmbiguous) || found || token != "" {
			t.Errorf("%q: got %q, %v, %v; want ErrAmbiguous", field, token, found, err)
		}
	}
	for field, want := range map[string]string{"Bearer abc": "abc", "bearer  abc ": "abc", "BEARER \tabc": "abc", "Basic YTpi": ""} {
		token, found, err := identity.Bearer(http.Header{"Authorization": {field}})
		if err != nil || token != want || found != (want != "") {
			t.Errorf("%q: got %q, %v, %v; want %q", field, token, found, err, want)
		}
	}
}
