package browser

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// key sends one key with modifiers, and what the browser is to do at it.
func (w *Window) key(name, code string, virtual, modifiers int64, commands ...string) {
	w.t.Helper()
	down := input.DispatchKeyEventParams{
		Type: input.DispatchKeyEventTypeRawKeyDown, Key: name, Code: code, WindowsVirtualKeyCode: virtual, Modifiers: modifiers, Commands: commands,
	}
	up := down
	up.Type, up.Commands = input.DispatchKeyEventTypeKeyUp, nil
	w.run("pressing "+name, tell(input.DispatchKeyEvent, down), tell(input.DispatchKeyEvent, up))
}

// The modifiers, as the protocol counts them.
const (
	ctrl  = 2
	shift = 8
)

func (w *Window) back() {
	w.t.Helper()
	w.key("Tab", "Tab", 9, shift)
}

// TabBack is Tab with Shift: it goes the other way.
func (w *Window) TabBack(name string) {
	w.t.Helper()
	var seen []string
	for range 60 {
		w.back()
		at := w.Focus()
		if strings.Contains(at, name) {
			return
		}
		seen = append(seen, at)
	}
	w.t.Fatalf("Shift and Tab do not come to %q on %s, only to %q", name, w.URL(), seen)
}

// InFront keeps the window in front of all others, as far as its pages can tell:
// the browser has no screen, and its windows lose the focus without reason.
func (w *Window) InFront() {
	w.t.Helper()
	w.run("coming to the front", tell(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}))
}

// Paste puts the text into the clipboard and pastes it where the focus is, at the
// time that it gives.
func (w *Window) Paste(text string) time.Time {
	w.t.Helper()
	w.run("opening the clipboard", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.CallBrowser(ctx, cdpbrowser.SetPermission, cdpbrowser.SetPermissionParams{
			Permission: &cdpbrowser.PermissionDescriptor{Name: "clipboard-write", AllowWithoutSanitization: true}, Setting: cdpbrowser.PermissionSettingGranted,
			BrowserContextID: chromedp.FromContext(ctx).BrowserContextID,
		})
		return err
	}))
	w.Await(fmt.Sprintf("() => navigator.clipboard.writeText(%q).then(() => '')", text))
	at := time.Now()
	w.key("v", "KeyV", 86, ctrl, "paste")
	return at
}

// Stop is one place where the key Tab rests.
type Stop struct {
	Name                string
	Index               int // among all elements of the document
	X, Y, Width, Height float64
	Seen                bool // it shows that it has the focus
}

// stop describes what has the focus; a sign of that is an outline, its own or, of
// a box to tick, that of its label.
const stop = `() => {
	const e = document.activeElement
	if (!e || e === document.body) return null
	const marked = e => {
		const s = getComputedStyle(e)
		return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2
	}
	const r = e.getBoundingClientRect()
	const inside = r.bottom > 0 && r.right > 0 && r.top < innerHeight && r.left < innerWidth
	return {
		Name: (` + focused + `)(), Index: [...document.querySelectorAll('*')].indexOf(e),
		X: r.left + scrollX, Y: r.top + scrollY, Width: r.width, Height: r.height,
		Seen: inside && (marked(e) || [...(e.labels ?? [])].some(marked)),
	}
}`

// Stop is where the focus is; nil where it is on nothing.
func (w *Window) Stop() *Stop {
	w.t.Helper()
	return must[*Stop](w, stop)
}

// Stops walks once around the page with Tab and gives where that rests, from the
// page's beginning. It ends where it began.
func (w *Window) Stops() []Stop {
	w.t.Helper()
	var all []Stop
	for range 200 {
		w.Type(kb.Tab)
		at := w.Stop()
		if at == nil {
			continue // between the end and the beginning
		}
		if len(all) > 0 && at.Index == all[0].Index {
			first := 0
			for i := range all {
				if all[i].Index < all[first].Index {
					first = i
				}
			}
			// One before the first is where it began.
			w.back()
			if w.Stop() == nil {
				w.back()
			}
			return slices.Concat(all[first:], all[:first])
		}
		all = append(all, *at)
	}
	w.t.Fatalf("the key Tab never comes around on %s", w.URL())
	return nil
}

// Misplaced are the stops that are not where a reader of the page expects them
// next, or do not show that they have the focus, and what can be used but is no
// stop.
func (w *Window) Misplaced() []string {
	w.t.Helper()
	stops := w.Stops()
	rtl := must[bool](w, "() => getComputedStyle(document.documentElement).direction === 'rtl'")
	var wrong []string
	for i, s := range stops {
		if !s.Seen {
			wrong = append(wrong, fmt.Sprintf("%q does not show that it has the focus", s.Name))
		}
		if i == 0 {
			continue
		}
		before := stops[i-1]
		row := math.Min(s.Y+s.Height, before.Y+before.Height)-math.Max(s.Y, before.Y) > math.Min(s.Height, before.Height)/2
		if s.Index < before.Index || !row && s.Y < before.Y || row && (s.X < before.X) != rtl {
			wrong = append(wrong, fmt.Sprintf("%q comes after %q", s.Name, before.Name))
		}
	}
	// Of radio buttons with one name there is one stop.
	usable := must[[]int](w, `() => [...document.querySelectorAll('*')].flatMap((e, i) =>
		e.matches('a[href], button:enabled, input:enabled:not([type=hidden]), select, summary') && e.checkVisibility({visibilityProperty: true}) &&
		(e.type !== 'radio' || e.checked) ? [i] : [])`)
	for _, index := range usable {
		if !slices.ContainsFunc(stops, func(s Stop) bool { return s.Index == index }) {
			wrong = append(wrong, "no stop: "+must[string](w, "i => document.querySelectorAll('*')[i].outerHTML.slice(0, 200)", index))
		}
	}
	return wrong
}
