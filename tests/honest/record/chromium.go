package main

import (
	"net/url"
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
