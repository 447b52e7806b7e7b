package config

import (
	"encoding/json"
	"strings"
	"testing"
)

// A client must not leave a rule by sending what the rule's matchers turn round.
func TestS28NoMatcherOpensTheRule(t *testing.T) {
	for text, refused := range map[string]bool{
		`not:[{"header":{"X-Api-Key":["*"]}}]`:                  true,
		`not:[{"path":["/a"]},{"header":{"X":["y"]}}]`:          true,
		`not:[{"path":["/a"],"query":{"k":["*"]}}]`:             true,
		`not:[{"header_regexp":{"Cookie":{"pattern":"x"}}}]`:    true,
		`not:[{"not":[{"not":[{"header":{"X":["y"]}}]}]}]`:      true,
		`not:[{"expression":"{http.request.header.X} == 'y'"}]`: true,
		`not:[{"vars":{"{http.request.cookie.a}":["1"]}}]`:      true,
		`expression:{"expr":"!header({'X-Api-Key': '*'})"}`:     true,
		`expression:"{http.request.uri.query.k} != 'y'"`:        true,
		`header:{"X-Api-Key":null}`:                             true,
		`not:[{"not":[{"header":{"X":null}}]}]`:                 true,
		`not:[{"header":{"X":null}}]`:                           false,
		`header:{"X":[]}`:                                       false,
		`query:{}`:                                              true,
		`not:[{"query":{}}]`:                                    false,
		`expression:"{http.request.header.X} == \"\""`:          true,
		`expression:"{http.request.header.X} == ''"`:            true,
		`expression:"header({'X': '*'}) ? false : true"`:        true,
		`expression:"header({'X': '*'}) == false"`:              true,
		`expression:"size({http.request.uri.query}) < 1"`:       true,
		`expression:"{http.request.header.X} == 'y'"`:           false,
		`vars:{"{http.request.header.X}":[""]}`:                 true,
		`vars:{"{http.request.header.X}":["a"]}`:                false,
		`vars_regexp:{"{header.X}":{"pattern":"^$"}}`:           true,
		`not:[{"protocol":"http/2+"}]`:                          true,
		`not:[{"protocol":"grpc"}]`:                             true,
		`not:[{"protocol":"https"}]`:                            false,
		`not:[{"vars":{"{http.request.proto}":["HTTP/2.0"]}}]`:  true,
		`not:[{"path":["/public/*"]}]`:                          false,
		`not:[{"method":["GET"]}]`:                              false,
		`not:[{"remote_ip":{"ranges":["10.0.0.0/8"]}}]`:         false,
		`not:[{"not":[{"header":{"X":["y"]}}]}]`:                false,
		`expression:"path('/a') && !path('/a/b')"`:              false,
		`header:{"X":["y"]}`:                                    false,
	} {
		name, raw, _ := strings.Cut(text, ":")
		r := Rule{Action: "A", Grant: GrantOneTime, On: Matchers{"path": []byte(`["/admin/*"]`)}, Match: []Matchers{{name: []byte(raw)}}}
		if err := r.Validate(); (err != nil) != refused || refused && !strings.Contains(err.Error(), "leave the rule") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A rule by what a client may leave out is told at load.
func TestS28RulesByWhatClientsChoose(t *testing.T) {
	set := func(text string) Matchers {
		var m Matchers
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	for text, want := range map[string]string{
		`{"path":["/a"],"method":["POST"],"host":["a.test"]}`:      "",
		`{"header":{"X-Kind":["money"]},"path":["/a"]}`:            "header",
		`{"header_regexp":{"X-Kind":{"pattern":"m"}}}`:             "header_regexp",
		`{"query":{"op":["pay"]},"header":{"X":["y"]}}`:            "header query",
		`{"expression":"{http.request.header.X} == 'y'"}`:          "expression",
		`{"expression":"{http.request.uri.path}.endsWith('.do')"}`: "",
		`{"vars":{"{http.request.cookie.a}":["1"]}}`:               "vars",
	} {
		on, match := Rule{On: set(text)}, Rule{Match: []Matchers{set(text)}}
		if a, b := strings.Join(on.ClientChosen(), " "), strings.Join(match.ClientChosen(), " "); a != want || b != want {
			t.Errorf("%s: %q and %q, want %q", text, a, b, want)
		}
	}
}
