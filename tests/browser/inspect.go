package browser

import (
	"context"

	"github.com/chromedp/chromedp"
)

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
