package block

import (
	"errors"
	"reflect"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/nearest"
)

// Named returns the matcher set that a site defines under an @name.
func Named(h httpcaddyfile.Helper, token caddyfile.Token) (config.Matchers, error) {
	set, _, err := h.WithDispenser(caddyfile.NewDispenser([]caddyfile.Token{token})).MatcherToken()
	if err == nil {
		return config.Matchers(set), nil
	}
	d := caddyfile.NewDispenser([]caddyfile.Token{token})
	d.Next()
	names := definedMatchers(h)
	if len(names) == 0 {
		return nil, d.Errf("%s is defined nowhere in this site: define it with `%s path /reports/*`, or write the paths themselves", token.Text, token.Text)
	}
	return nil, d.Errf("%s is defined nowhere in this site: %s", token.Text, nearest.OneOf(token.Text, names))
}

// definedMatchers are the named matchers that a site defines. Caddy has no function
// for them; where its type has changed, none are known.
func definedMatchers(h httpcaddyfile.Helper) (names []string) {
	defined := reflect.ValueOf(h).FieldByName("matcherDefs")
	if defined.Kind() != reflect.Map {
		return nil
	}
	for _, key := range defined.MapKeys() {
		if key.Kind() == reflect.String {
			names = append(names, key.String())
		}
	}
	slices.Sort(names)
	return names
}

// Match reads a match
func Match(d *caddyfile.Dispenser) (config.Matchers, error) {
	match, tokens := d.Token(), d.NextSegment()
	for word, token := range WordsOf(tokens) {
		if !Registered("http.matchers", word) {
			return nil, At(token, errors.New(Unknown("http.matchers", word)))
		}
	}
	inner := caddyfile.NewDispenser(tokens)
	inner.Next()
	set, err := caddyhttp.ParseCaddyfileNestedMatcherSet(inner)
	if err != nil {
		return nil, err
	}
	if len(set) == 0 {
		return nil, At(match, errors.New("match is empty: name at least one matcher in it, such as `method POST`"))
	}
	return config.Matchers(set), nil
}
