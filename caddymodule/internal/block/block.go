// Package block reads blocks of a Caddyfile whose settings are known: a table of
// words, each with the function that reads its line.
//
// It refuses, at the line, a word that the table does not have, one that occurs
// twice, and anything left over behind a value. What a setting means, and which
// settings exclude each other, is checked by its callers.
package block

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/nearest"
)

// Setting reads one line of a block; the dispenser stands on its name.
type Setting func(d *caddyfile.Dispenser) error

// Block is what may stand between one pair of braces.
type Block struct {
	Name     string             // for messages: "step_up", "limits"
	Settings map[string]Setting // by the word that begins the line
	Repeats  string             // the settings that may be repeated, a space between
	Order    []string           // the words in the order a message lists them
	Lines    Lines              // if not nil, gets where each word stands
}

// Read walks the block d is about to open. An unknown word, a word said twice,
// and anything left over on a line are refused at that line: a setting that is
// silently ignored is a protection its author believes in.
func (b Block) Read(d *caddyfile.Dispenser) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word := d.Val()
		if word == "{" {
			return d.Err("no block was expected here")
		}
		read, known := b.Settings[word]
		if !known {
			return d.Errf("%s has no setting %q: %s", b.Name, word, nearest.OneOf(word, b.Order))
		}
		if seen[word] && !slices.Contains(strings.Fields(b.Repeats), word) {
			return d.Errf("%s says %s twice: keep one of them", b.Name, word)
		}
		seen[word] = true
		if b.Lines != nil {
			b.Lines[word] = d.Token()
		}
		if err := read(d); err != nil {
			return err
		}
		if d.NextArg() {
			return d.Errf("%s: %q is more than it takes", word, d.Val())
		}
	}
	return nil
}

// Checked turns a refusal of the config package into one with file and line.
func Checked(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// At adds to err the file and line of a token that was read earlier.
func At(token caddyfile.Token, err error) error {
	d := caddyfile.NewDispenser([]caddyfile.Token{token})
	d.Next()
	return d.WrapErr(err)
}

// Lines are where the settings of a block stand.
type Lines map[string]caddyfile.Token

// At adds to err, if there is one, the file and line of the setting that it is about:
// a refusal begins with the setting's name. One about no setting that was written
// gets those of the directive.
func (l Lines) At(directive caddyfile.Token, err error) error {
	if err == nil {
		return nil
	}
	for _, word := range subjects(err) {
		if token, written := l[word]; written {
			return At(token, err)
		}
	}
	return At(directive, err)
}

// maxSubject is how many words of a sentence may name what it is about.
const maxSubject = 8

// subjects are the words that the setting which err is about may be called by, the
// likeliest first.
func subjects(err error) []string {
	path, _, _ := strings.Cut(config.PathOf(err), "[")
	words := []string{path}
	for i, word := range strings.Fields(err.Error()) {
		word = strings.Trim(word, "`:,;.\"")
		if i < maxSubject && (i == 0 || word != "to") {
			words = append(words, word)
		}
	}
	return words
}

// CheckedWord is the setting of one word, which check accepts or refuses at its
// line.
func CheckedWord(into *string, example string, check func(string) error) Setting {
	return func(d *caddyfile.Dispenser) error {
		if err := Word(d, into, example); err != nil {
			return err
		}
		return Checked(d, check(*into))
	}
}

// Word reads the single argument of a setting; example completes the sentence
// where it is missing.
func Word(d *caddyfile.Dispenser, into *string, example string) error {
	name := d.Val()
	if !d.NextArg() {
		return d.Errf("%s takes one value, such as `%s %s`", name, name, example)
	}
	*into = d.Val()
	return nil
}

// OneWord is Word where a block may follow, and nothing else; takes names the value
// in a sentence.
func OneWord(d *caddyfile.Dispenser, into *string, example, takes string) error {
	name := d.Val()
	if err := Word(d, into, example); err != nil {
		return err
	}
	if d.NextArg() {
		return d.Errf("%s takes %s and then a block, and %q follows it", name, takes, d.Val())
	}
	return nil
}

// Text is the setting of one word.
func Text(into *string, example string) Setting {
	return func(d *caddyfile.Dispenser) error { return Word(d, into, example) }
}

// Words is the setting of one word or more.
func Words(into *[]string, example string) Setting {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if *into = d.RemainingArgs(); len(*into) == 0 {
			return d.Errf("%s takes at least one value, such as `%s %s`", name, name, example)
		}
		return nil
	}
}

// CheckedAt is [At] for an error that may be nil.
func CheckedAt(token caddyfile.Token, err error) error {
	if err == nil {
		return nil
	}
	return At(token, err)
}
