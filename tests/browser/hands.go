package browser

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// locate finds what is called name, brings it into view and gives its middle.
// Names are what a person, or a screen reader, reads on links and buttons.
const locate = `name => {
	const all = [...document.querySelectorAll('a[href], button, summary, input[type=submit]')].filter(e => e.checkVisibility())
	const called = e => (e.getAttribute('aria-label') || e.innerText || e.value || '').trim().replace(/\s+/g, ' ')
	const e = all.find(e => called(e) === name) || all.find(e => called(e).includes(name)) || all.find(e => e.innerText.includes(name))
	if (!e) return null
	e.scrollIntoView({block: 'center'})
	const r = e.getClientRects()[0]
	return [r.left + r.width / 2, r.top + r.height / 2]
}`

func (w *Window) press(name string) {
	w.t.Helper()
	at := must[[]float64](w, locate, name)
	if at == nil {
		w.t.Fatalf("there is no link or button %q any more on %s:\n%s", name, w.URL(), w.Text())
	}
	w.run("clicking "+name, chromedp.MouseClickXY(at[0], at[1]))
}

// appears waits until a question of ours about the page has the answer yes: the
// page may be about to lead on to the next one.
func (w *Window) appears(question string, args ...any) bool {
	w.t.Helper()
	for deadline := time.Now().Add(appearance); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if yes, err := ask[bool](w, question, args...); err == nil && yes {
			return true
		}
	}
	return false
}

func (w *Window) find(name string) {
	w.t.Helper()
	if !w.appears("name => ("+locate+")(name) !== null", name) {
		w.t.Fatalf("there is no link or button %q on %s (status %d):\n%s", name, w.URL(), w.Status(), w.Text())
	}
}

// Click clicks a link or button that leads to another page.
func (w *Window) Click(name string) {
	w.t.Helper()
	w.find(name)
	w.moves("clicking "+name, func() { w.press(name) })
}

// Toggle clicks what opens or closes a part of the page.
func (w *Window) Toggle(name string) {
	w.t.Helper()
	w.find(name)
	w.press(name)
}

// Download clicks a link or button that leads to a file, and gives the file.
func (w *Window) Download(name string) string {
	w.t.Helper()
	w.find(name)
	return w.fetches("clicking "+name, func() { w.press(name) })
}

// fetches does what leads to a file, and waits for it.
func (w *Window) fetches(doing string, do func()) string {
	w.t.Helper()
	// A file of the same name would be overwritten.
	if err := os.RemoveAll(w.downloads); err != nil {
		w.t.Fatal(err)
	}
	do()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
		files, _ := filepath.Glob(filepath.Join(w.downloads, "*"))
		for _, path := range files {
			if strings.HasSuffix(path, ".crdownload") {
				continue
			}
			if content, err := os.ReadFile(path); err == nil && len(content) > 0 {
				return string(content)
			}
		}
	}
	w.t.Fatalf("%s: no file came; the page is %s:\n%s", doing, w.URL(), w.Text())
	return ""
}

// Fill types into the field with the label.
func (w *Window) Fill(label, value string) {
	w.t.Helper()
	found := w.appears(`label => {
		const l = [...document.querySelectorAll('label')].find(l => l.innerText.trim().startsWith(label))
		if (!l || !l.control) return false
		l.control.focus()
		l.control.select?.()
		return true
	}`, label)
	if !found {
		w.t.Fatalf("there is no field %q on %s:\n%s", label, w.URL(), w.Text())
	}
	w.Type(value)
}

// Type types what the focus takes.
func (w *Window) Type(text string) {
	w.t.Helper()
	w.run("typing", chromedp.KeyEvent(text))
}

// Enter presses the key that sends a form or follows a link.
func (w *Window) Enter() {
	w.t.Helper()
	w.moves("pressing Enter", func() { w.Type(kb.Enter) })
}

// Tab presses the key until the focus is on what is called name: a link, a
// button or a field.
func (w *Window) Tab(name string) {
	w.t.Helper()
	seen := []string{}
	for range 60 {
		w.Type(kb.Tab)
		at := w.Focus()
		if strings.Contains(at, name) {
			return
		}
		seen = append(seen, at)
	}
	w.t.Fatalf("the key Tab does not come to %q on %s, only to %q", name, w.URL(), seen)
}

// focused names what has the focus.
const focused = `() => {
	const e = document.activeElement
	if (!e || e === document.body) return ''
	return (e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText || e.name || e.tagName).trim()
}`

// Focus is the name of what has the focus.
func (w *Window) Focus() string {
	w.t.Helper()
	return must[string](w, focused)
}

// StartsOn ends the test unless the page gives the focus to what is called
// name by itself, which browsers do when they first draw it.
func (w *Window) StartsOn(name string) {
	w.t.Helper()
	if !w.appears("name => ("+focused+")() === name", name) {
		w.t.Fatalf("on %s the focus is on %q and not on %q", w.URL(), w.Focus(), name)
	}
}

// Select chooses the option of the field with the label.
func (w *Window) Select(label, option string) {
	w.t.Helper()
	w.Fill(label, option)
}
