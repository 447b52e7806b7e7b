package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/browser"
)

// browser is a Chromium.
func (a *app) browser() *browser.Browser { return browser.Start(a) }

// open opens a window that shares nothing with others.
func (a *app) open(b *browser.Browser) *browser.Window { return b.Open(a, browser.Options{}) }

// window is a window of a Chromium of its own.
func (a *app) window() *browser.Window { return a.open(a.browser()) }

// wait lets a page ask for what it asks for by itself.
func (a *app) wait() { time.Sleep(900 * time.Millisecond) }

func escapeQuery(s string) string { return url.QueryEscape(s) }

// click clicks the first element of a selector, if there is one.
func (a *app) click(w *browser.Window, selector string) {
	w.Ask("() => { const e = document.querySelector(" + quote(selector) + "); if (e) { for (const n of ['mousedown', 'mouseup']) e.dispatchEvent(new MouseEvent(n, {bubbles: true})); e.click() } return '' }")
	a.wait()
}

// submit fills in a form and sends it as its own button does, or as the one of that
// selector in it. A form that is not there is told.
func (a *app) submit(w *browser.Window, form, button string, values map[string]string) {
	b, err := json.Marshal(values)
	if err != nil {
		a.Fatal(err)
	}
	why := w.Ask(`() => {
		const form = document.querySelector(` + quote(form) + `)
		if (!form) return 'there is no form'
		for (const [name, value] of Object.entries(` + string(b) + ` || {})) {
			let e = form.elements.namedItem(name)
			if (e instanceof RadioNodeList) e = [...e].find(o => o.value === value) || e[e.length - 1]
			if (!e) return 'there is no ' + name
			if (e.type === 'checkbox' || e.type === 'radio') e.checked = true
			else if (e.type !== 'file') e.value = value
		}
		const button = ` + quote(button) + ` === '' ? undefined : form.querySelector(` + quote(button) + `)
		if (button === null) return 'there is no button'
		form.noValidate = true
		window.leaving = true
		setTimeout(() => form.requestSubmit(button))
		return ''
	}`)
	if why != "" {
		fmt.Fprintf(os.Stderr, "%s: %s of %s: %s\n", a.name, form, w.URL(), why)
		return
	}
	a.settle(w)
}

// settle waits until the page that a form leads to is there, if it leads to one, and
// has asked for what it asks for at first.
func (a *app) settle(w *browser.Window) {
	for range 30 {
		if w.Ask("() => window.leaving ? 'leaving' : document.readyState") == "complete" {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(150 * time.Millisecond)
}

// visit goes to an address and waits for what its page asks for.
func (a *app) visit(w *browser.Window, url string) {
	w.Go(url)
	a.settle(w)
}

// does lets a page's own script do something, and waits for it or for another page.
func (a *app) does(w *browser.Window, script string) {
	w.Ask("() => { window.recorded = 'not yet'; (async () => { try { " + script + " } catch (e) { return String(e.message || e) } return '' })().then(why => { window.recorded = why }); return '' }")
	why := ""
	for range 100 {
		if why = w.Ask("() => window.recorded ?? ''"); why != "not yet" {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if why != "" {
		fmt.Fprintf(os.Stderr, "%s: %.80s at %s: %s\n", a.name, script, w.URL(), why)
	}
}
