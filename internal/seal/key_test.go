package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestTextRoundTrip(t *testing.T) {
	for range 100 {
		k := GenerateKey()
		text := k.Text()
		if len(text) != len(textPrefix)+70 {
			t.Fatalf("text of %d characters", len(text))
		}
		for _, around := range []string{text, text + "\n", " \t" + text + "\r\n\n"} {
			got, err := ParseKey(around)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Equal(k) || got.ID() != k.ID() || got.StoreID() != k.StoreID() || got.Text() != text {
				t.Fatal("another key came back")
			}
		}
	}
}

func TestKeysDiffer(t *testing.T) {
	a, b := GenerateKey(), GenerateKey()
	if a.Equal(b) || a.ID() == b.ID() || a.StoreID() == b.StoreID() || a.Equal(Key{}) || (Key{}).Equal(a) {
		t.Error("two keys are the same")
	}
	if c := a.Successor(); a.Equal(c) || a.ID() == c.ID() || a.StoreID() != c.StoreID() {
		t.Error("a successor is no other key of the same database")
	}
	if z := (Key{}); !z.IsZero() || a.IsZero() || !z.Equal(Key{}) || z.Text() != "" {
		t.Error("the zero key is a key")
	}
}

func TestParseKeyRefuses(t *testing.T) {
	text := GenerateKey().Text()
	zero := base64.RawURLEncoding.EncodeToString(append(make([]byte, 48), checksum(make([]byte, 48))...))
	for _, c := range []struct{ name, text, says string }{
		{"nothing", "", "empty"},
		{"white space", " \n", "empty"},
		{"something else", "hunter2", "begin with"},
		{"another version", strings.Replace(text, "sukey1_", "sukey2_", 1), "begin with"},
		{"upper case", strings.ToUpper(text), "begin with"},
		{"prefix alone", textPrefix, "cut off"},
		{"first half", text[:40], "cut off"},
		{"last character missing", text[:len(text)-1], "cut off"},
		{"a character more", text + "A", "70 should"},
		{"padding", text + "==", "70 should"},
		{"a hole", text[:20] + text[21:], "cut off"},
		{"line break inside", text[:20] + "\n" + text[21:], "characters"},
		{"two line breaks inside", text[:20] + "\r\n" + text[22:], "characters"},
		{"plus", text[:20] + "+" + text[21:], "characters"},
		{"space", text[:20] + " " + text[21:], "characters"},
		{"not ASCII", text[:20] + "ä" + text[22:], "characters"},
		{"zero secret", textPrefix + zero, "zeros"},
	} {
		k, err := ParseKey(c.text)
		if !errors.Is(err, ErrKey) || !k.IsZero() {
			t.Errorf("%s: %v, want ErrKey", c.name, err)
			continue
		}
		if !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q does not say %q", c.name, err, c.says)
		}
		if len(c.text) > 30 && strings.Contains(err.Error(), c.text[10:20]) {
			t.Errorf("%s: the error shows the text", c.name)
		}
	}
}

// TestParseKeyTellsTypos exchanges each character for each other one.
func TestParseKeyTellsTypos(t *testing.T) {
	text := GenerateKey().Text()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := len(textPrefix); i < len(text); i++ {
		for _, c := range []byte(alphabet) {
			typo := text[:i] + string(c) + text[i+1:]
			if _, err := ParseKey(typo); typo != text && !errors.Is(err, ErrKey) {
				t.Errorf("character %d exchanged: %v, want ErrKey", i, err)
			}
		}
	}
}

// TestNothingShowsTheSecret prints and marshals keys, and what holds them, in every way there is.
func TestNothingShowsTheSecret(t *testing.T) {
	k := GenerateKey()
	r := ring(t, k.Successor(), k)
	type holder struct {
		Exported   Key
		unexported Key
		Pointer    *Key
		Slice      []Key
		Map        map[string]Key
		ring       *Ring
	}
	h := holder{k, k, &k, []Key{k}, map[string]Key{"k": k}, r}
	things := map[string]any{"key": k, "pointer": &k, "holder": h, "pointer to holder": &h, "slice": []Key{k}, "ring": r, "plain ring": *r}
	secrets := [][]byte{k.m().secret[:], k.m().derive(purposeSeal, 32)}
	check := func(how, out string) {
		t.Helper()
		for _, s := range secrets {
			for _, shape := range []string{
				string(s[:8]), hex.EncodeToString(s[:8]), strings.ToUpper(hex.EncodeToString(s[:8])),
				base64.RawStdEncoding.EncodeToString(s[:9]), base64.RawURLEncoding.EncodeToString(s[:9]),
				strings.Trim(fmt.Sprint(s[:6]), "[]"), strings.Trim(fmt.Sprintf("%#v", s[:6]), "[]byte{}"),
				fmt.Sprintf("% x", s[:6]), fmt.Sprintf("% X", s[:6]), strings.Trim(fmt.Sprintf("%o", s[:6]), "[]"),
				strings.Trim(fmt.Sprintf("%b", s[:6]), "[]"), strings.Trim(fmt.Sprintf("%q", s[:6]), `"`),
			} {
				if strings.Contains(out, shape) {
					t.Errorf("%s shows the secret: %s", how, out)
				}
			}
		}
	}
	for name, thing := range things {
		for verb := byte('A'); verb <= 'z'; verb++ {
			for _, flags := range []string{"", "+", "#", " ", "-", "0", "+#", "# ", "20.10", "+010"} {
				format := "%" + flags + string(verb)
				if verb == '[' || verb == '*' || verb == '%' {
					continue
				}
				check(name+" with "+format, fmt.Sprintf(format, thing))
			}
		}
		check(name+" by Sprint", fmt.Sprint(thing))
		if out, err := json.Marshal(thing); err == nil {
			check(name+" as JSON", string(out))
		}
	}
	want := "seal.Key(id=" + k.ID().String() + ")"
	for _, got := range []string{k.String(), k.GoString(), fmt.Sprintf("%v", k), fmt.Sprintf("%x", k), fmt.Sprintf("%#v", &k)} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if out, err := json.Marshal(k); err != nil || string(out) != `"`+want+`"` {
		t.Errorf("%s, %v", out, err)
	}
	if got := (Key{}).String(); got != "seal.Key(none)" {
		t.Errorf("zero key: %q", got)
	}
	// The id is not the secret's beginning, nor is a derived key.
	if bytes.Contains(k.m().secret[:], k.m().id[:]) {
		t.Error("the id is a part of the secret")
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(GenerateKey().Text())
	f.Add(fixedKey)
	f.Add(textPrefix)
	f.Add("sukey1_" + strings.Repeat("A", 70))
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKey(text)
		if err != nil {
			if !errors.Is(err, ErrKey) || !k.IsZero() {
				t.Errorf("%v, %v", k, err)
			}
			return
		}
		// One key has one spelling.
		if k.Text() != strings.TrimSpace(text) {
			t.Error("a key with two spellings")
		}
	})
}
