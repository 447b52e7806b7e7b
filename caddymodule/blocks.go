package caddymodule

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// setting reads one line of a block; the dispenser stands on its name.
type setting func(d *caddyfile.Dispenser) error

// block is what may stand between one pair of braces.
type block struct {
	name     string             // for messages: "step_up", "limits"
	settings map[string]setting // by the word that begins the line
	repeats  string             // the settings that may be said again, a space between
	order    []string           // the words in the order a message lists them
}

// read walks the block d is about to open. An unknown word, a word said twice,
// and anything left over on a line are refused at that line: a setting that is
// silently ignored is a protection its author believes in.
func (b block) read(d *caddyfile.Dispenser) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word := d.Val()
		if word == "{" {
			return d.Err("no block was expected here")
		}
		read, known := b.settings[word]
		if !known {
			return d.Errf("%s has no setting %q: write one of %s", b.name, word, strings.Join(b.order, ", "))
		}
		if seen[word] && !slices.Contains(strings.Fields(b.repeats), word) {
			return d.Errf("%s says %s twice: keep one of them", b.name, word)
		}
		seen[word] = true
		if err := read(d); err != nil {
			return err
		}
		if d.NextArg() {
			return d.Errf("%s: %q is more than it takes", word, d.Val())
		}
	}
	return nil
}

// checked turns a refusal of the config package into one with file and line.
func checked(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// at gives err the file and line of a token that was read earlier.
func at(token caddyfile.Token, err error) error {
	d := caddyfile.NewDispenser([]caddyfile.Token{token})
	d.Next()
	return d.WrapErr(err)
}

// checkedWord is the setting of one word that is held against its form where it
// stands.
func checkedWord(into *string, example string, check func(string) error) setting {
	return func(d *caddyfile.Dispenser) error {
		if err := word(d, into, example); err != nil {
			return err
		}
		return checked(d, check(*into))
	}
}

// word reads the single argument of a setting; example completes the sentence
// where it is missing.
func word(d *caddyfile.Dispenser, into *string, example string) error {
	name := d.Val()
	if !d.NextArg() {
		return d.Errf("%s takes one value, such as `%s %s`", name, name, example)
	}
	*into = d.Val()
	return nil
}

// text is the setting of one word.
func text(into *string, example string) setting {
	return func(d *caddyfile.Dispenser) error { return word(d, into, example) }
}

// words is the setting of one word or more.
func words(into *[]string, example string) setting {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if *into = d.RemainingArgs(); len(*into) == 0 {
			return d.Errf("%s takes at least one value, such as `%s %s`", name, name, example)
		}
		return nil
	}
}
