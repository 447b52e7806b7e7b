package browser

import (
	"context"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Appearance is how somebody looks at pages.
type Appearance struct {
	Width, Height int64 // of the window, in CSS pixels
	Dark          bool  // they prefer dark pages
	ForcedColors  bool  // they have colours of their own for all pages
	StillPictures bool  // they prefer that nothing moves
}

// Appear shows the page so, until the next Appear or Resize, and waits until it is
// drawn.
func (w *Window) Appear(a Appearance) {
	w.t.Helper()
	choose := func(name string, on bool, yes, no string) *emulation.MediaFeature {
		if on {
			no = yes
		}
		return &emulation.MediaFeature{Name: name, Value: no}
	}
	w.run("changing the appearance", chromedp.EmulateViewport(a.Width, a.Height),
		tell(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			choose("prefers-color-scheme", a.Dark, "dark", "light"),
			choose("forced-colors", a.ForcedColors, "active", "none"),
			choose("prefers-reduced-motion", a.StillPictures, "reduce", "no-preference"),
		}}))
	w.Settle()
}

// Inject runs a script on the page that is not the page's own: what the page's
// policy says of scripts does not hold for it.
func (w *Window) Inject(script string) {
	w.t.Helper()
	w.run("injecting a script", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Evaluate[bool]("void function(){"+script+"\n}(), true")(ctx, t)
		return err
	}))
}

// Await is Ask for a function that returns a promise of a text.
func (w *Window) Await(function string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("("+function+")()", chromedp.EvalAwaitPromise))
	if err != nil {
		w.t.Fatalf("asking the page: %v", err)
	}
	return text
}

// Settle waits until the page was drawn again after its window has changed.
func (w *Window) Settle() {
	w.t.Helper()
	w.Await("() => new Promise(done => requestAnimationFrame(() => setTimeout(() => done(''), 0)))")
}

// Overflow are what is wider than the window, by element, where the page can be
// moved sideways.
func (w *Window) Overflow() []string {
	w.t.Helper()
	return must[[]string](w, `() => {
		const root = document.documentElement, width = root.clientWidth
		if (root.scrollWidth <= width) return []
		const wide = [...document.body.querySelectorAll('*')].filter(e => {
			const r = e.getBoundingClientRect()
			return r.right > width + 0.5 || r.left < -0.5
		}).map(e => e.tagName.toLowerCase() + (e.id ? '#' + e.id : '') + [...e.classList].map(c => '.' + c).join(''))
		return ['the page is ' + root.scrollWidth + ' wide in ' + width, ...wide]
	}`)
}

// Cut are the texts that cannot be read where they stand: that leave the window
// or the box that they are in, or that another text lies on.
func (w *Window) Cut() []string {
	w.t.Helper()
	return must[[]string](w, `() => {
		const width = document.documentElement.clientWidth, cut = new Set(), seen = []
		const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
		for (let node; node = walker.nextNode();) {
			const holder = node.parentElement
			if (!node.data.trim() || !holder.checkVisibility() || holder.closest('script, style, select')) continue
			const range = document.createRange()
			range.selectNodeContents(node)
			const rects = [...range.getClientRects()].filter(r => r.width > 0.5 && r.height > 0.5)
			const tell = what => cut.add(JSON.stringify(node.data.trim().slice(0, 40)) + ' ' + what)
			if (rects.length === 0) tell('is not drawn')
			for (let e = holder, own = true; e !== document.documentElement; e = e.parentElement) {
				const style = getComputedStyle(e)
				if (style.display === 'inline' || style.display === 'contents') continue
				const box = e.getBoundingClientRect(), clips = style.overflowX !== 'visible' || style.overflowY !== 'visible'
				for (const r of rects) {
					if (r.left < box.left - 1 || r.right > box.right + 1) tell('leaves ' + e.tagName + '.' + e.className + ' sideways')
					if ((clips || own) && (r.top + r.height / 4 < box.top || r.bottom - r.height / 4 > box.bottom)) tell('leaves ' + e.tagName + '.' + e.className)
				}
				own = false
			}
			for (const r of rects) {
				if (r.left < -0.5 || r.right > width + 0.5) tell('leaves the window')
				for (const [other, o] of seen) {
					const across = Math.min(r.right, o.right) - Math.max(r.left, o.left), down = Math.min(r.bottom, o.bottom) - Math.max(r.top, o.top)
					if (across > 2 && down > Math.min(r.height, o.height) / 2) tell('lies on ' + JSON.stringify(other.data.trim().slice(0, 40)))
				}
			}
			rects.forEach(r => seen.push([node, r]))
		}
		for (const e of document.querySelectorAll('button, a, p, h1, h2, label, legend, li, td, th, summary, select')) {
			if (e.checkVisibility() && e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1) cut.add(e.tagName + '.' + e.className + ' is ' + e.scrollWidth + ' wide in ' + e.clientWidth)
		}
		return [...cut]
	}`)
}

// Broken are the words of titles, labels, names and buttons that go on in the next line
// where no hyphen shows it.
func (w *Window) Broken() []string {
	w.t.Helper()
	return must[[]string](w, `() => {
		const broken = []
		for (const e of document.querySelectorAll('h1, h2, label, legend, summary, button, .button, .action, .rows b')) {
			const walker = document.createTreeWalker(e, NodeFilter.SHOW_TEXT)
			for (let node; node = walker.nextNode();) {
				if (!node.parentElement.checkVisibility()) continue
				for (const word of node.data.matchAll(/[^\s\u00ad\-\/]{2,}/gu)) {
					const range = document.createRange()
					// Before the first letter there may be a hyphen in the line above.
					range.setStart(node, word.index + 1)
					range.setEnd(node, word.index + word[0].length)
					if (new Set([...range.getClientRects()].filter(r => r.width > 0.5).map(r => Math.round(r.top))).size > 1) broken.push(word[0])
				}
			}
		}
		return broken
	}`)
}

// EnlargeText doubles the size of text alone, as a browser's setting does, and
// gives by how much that text grew which grew least.
func (w *Window) EnlargeText() float64 {
	w.t.Helper()
	return must[float64](w, `() => {
		const texts = [...document.body.querySelectorAll('*')].filter(e => e.checkVisibility() && [...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim()))
		const sizes = () => texts.map(e => parseFloat(getComputedStyle(e).fontSize))
		const before = sizes()
		document.documentElement.style.fontSize = '200%'
		return Math.min(...sizes().map((size, n) => size / before[n]))
	}`)
}

// ResetText takes EnlargeText back.
func (w *Window) ResetText() {
	w.t.Helper()
	must[bool](w, "() => { document.documentElement.style.fontSize = ''; return true }")
}

// OpenAll opens every part of the page that can be opened.
func (w *Window) OpenAll() {
	w.t.Helper()
	must[bool](w, "() => { document.querySelectorAll('details').forEach(d => { d.open = true }); return true }")
}
