package portal

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// FuzzDecode holds the reader of JSON bodies against encoding/json: what it
// takes, that reads in the same way, and it knows every member.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"credential":{"a":{"b":[1,2]}}}`, `{"credential":{"a":1,"A":2}}`, `{"credential":[]}`, `{"code":"1","credential":{}}`,
		`{}`, `{"code":"1"}`, `{"code":"1","code":"2"}`, `{"Code":"1"}`, `{"code":1}`, `{"a":{"b":[1,2]}}`, `{"code":"1"}}`, ` {"c\u006fde" : "\ud800" } `, `[`, "\ufeff{}",
	} {
		f.Add([]byte(seed))
	}
	names := []string{"code", "method"}
	const object = "credential"
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decode(body, object, names)
		if err != nil {
			if p := problemOf(err); p.Code.Status() != 422 || len(p.Errors) != 1 {
				t.Fatalf("refused with %+v", p)
			}
			return
		}
		var want map[string]any
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("taken, but not JSON: %v", err)
		}
		if len(want) != len(got) {
			t.Fatalf("got %v, want %v", got, want)
		}
		for name, value := range got {
			if name == object {
				var inner any
				if err := json.Unmarshal([]byte(value), &inner); err != nil || !reflect.DeepEqual(inner, want[name]) || len(value) > maxObject {
					t.Fatalf("got %q, want %v", value, want[name])
				}
				continue
			}
			if !slices.Contains(names, name) || want[name] != value {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
	})
}

// FuzzBack holds return targets to being paths of the site, however a browser
// reads them (S09).
func FuzzBack(f *testing.F) {
	for _, seed := range []string{"/", "/a?b#c", "//evil.example/", `/\evil.example`, "///evil", "https://evil.example", "/\t/evil.example", "", "/.//x", "javascript:x"} {
		f.Add(seed)
	}
	base := &url.URL{Scheme: "https", Host: "site.example", Path: "/.step-up/challenge/x"}
	f.Fuzz(func(t *testing.T, target string) {
		v := &visit{r: &http.Request{}}
		got := v.back(target)
		// A browser drops tabs and newlines and reads backslashes as slashes.
		read := strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(got)
		if strings.HasPrefix(read, "//") || !strings.HasPrefix(read, "/") {
			t.Fatalf("%q leads to %q", target, got)
		}
		if u, err := base.Parse(read); err == nil && (u.Host != "site.example" || u.Scheme != "https") {
			t.Fatalf("%q leads to %q", target, u)
		}
	})
}

// FuzzFind holds the routes to taking ids that are safe in links.
func FuzzFind(f *testing.F) {
	f.Add("challenge/abc")
	f.Add("enroll/a%2e/confirm")
	p := &Portal{routes: routes()}
	f.Fuzz(func(t *testing.T, path string) {
		for _, api := range []bool{true, false} {
			_, ids, _ := p.find(api, http.MethodGet, path)
			for _, id := range ids {
				if url.PathEscape(id) != id || id == "" || len(id) > maxID {
					t.Fatalf("id %q", id)
				}
			}
		}
	})
}
