package pages

import (
	"cmp"

	"github.com/stepup-gateway/caddy-stepup/internal/color"
)

// DialogText is what the dialog says that a script shows in a page of the
// application's, in one language.
type DialogText struct {
	Dir     string `json:"dir"` // of the writing, as HTML names it
	Title   string `json:"title"`
	Text    string `json:"text"`
	Confirm string `json:"confirm"`
	Cancel  string `json:"cancel"`
}

// DialogWords are the texts by the tags of the languages.
func DialogWords() map[string]DialogText {
	all := make(map[string]DialogText, len(catalogue))
	for lang, w := range catalogue {
		all[lang] = DialogText{w.Dir(), w.say("challenge.title"), w.say("dialog.text"), w.say("challenge.submit"), w.say("challenge.cancel")}
	}
	return all
}

// DialogLook is how the dialog looks: the name, and the colors of its button and of
// what stands on it, by day and by night.
type DialogLook struct {
	Name   string    `json:"name"`
	Accent [2]string `json:"accent"`
	On     [2]string `json:"on"`
}

// DialogBrand is the look by a brand, which may be nil.
func DialogBrand(issuer string, b *Brand) DialogLook {
	look := DialogLook{Name: issuer, Accent: [2]string{"#1a56c4", "#8db7ff"}, On: [2]string{"#fff", "#0b1424"}}
	if b == nil {
		return look
	}
	look.Name = cmp.Or(b.Name, issuer)
	if b.Accent != nil {
		for i, s := range []color.Scheme{b.Accent.Light, b.Accent.Dark} {
			look.Accent[i], look.On[i] = s.Accent.String(), s.OnAccent.String()
		}
	}
	return look
}
