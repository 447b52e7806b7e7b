package browser

import (
	"context"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Sees ends the test unless the page shows every text, or leads on by itself to
// one that does. Spaces at which no line breaks are spaces like others.
func (w *Window) Sees(texts ...string) {
	w.t.Helper()
	if w.appears(`texts => {
		const plain = text => text.replaceAll("\u00a0", " ");
		const shown = plain(document.body.innerText);
		return texts.every(text => shown.includes(plain(text)));
	}`, texts) {
		return
	}
	plain := strings.NewReplacer("\u00a0", " ").Replace
	shown := plain(w.Text())
	for _, text := range texts {
		if !strings.Contains(shown, plain(text)) {
			w.t.Fatalf("%s (status %d) does not show %q:\n%s", w.URL(), w.Status(), text, shown)
		}
	}
}

// SeesNot ends the test if the page shows one of the texts.
func (w *Window) SeesNot(texts ...string) {
	w.t.Helper()
	shown := w.Text()
	for _, text := range texts {
		if strings.Contains(shown, text) {
			w.t.Fatalf("%s shows %q:\n%s", w.URL(), text, shown)
		}
	}
}

// Text is the text of the page.
func (w *Window) Text() string {
	w.t.Helper()
	return must[string](w, "() => document.body ? document.body.innerText : ''")
}

// Texts are the texts of all elements that a CSS selector picks.
func (w *Window) Texts(selector string) []string {
	w.t.Helper()
	return must[[]string](w, "s => [...document.querySelectorAll(s)].map(e => e.textContent.trim())", selector)
}

// URL is what the address bar shows.
func (w *Window) URL() string {
	w.t.Helper()
	return must[string](w, "() => location.href")
}

// Status is the HTTP status that the page came with.
func (w *Window) Status() int {
	w.t.Helper()
	return must[int](w, "() => performance.getEntriesByType('navigation')[0].responseStatus")
}

// Frames are the addresses of the frames of the page, those refused as the
// browser names them.
func (w *Window) Frames() []string {
	w.t.Helper()
	var urls []string
	w.run("listing frames", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		got, err := cdp.Call(ctx, t, page.GetFrameTree, cdp.Empty{})
		if err != nil {
			return err
		}
		for _, child := range got.FrameTree.ChildFrames {
			urls = append(urls, child.Frame.URL)
		}
		return nil
	}))
	return urls
}

// Ask runs a function on the page and gives the text that it returns.
func (w *Window) Ask(function string) string {
	w.t.Helper()
	return must[string](w, function)
}

// ClickInFrame clicks a link in the page's first frame, which must be of the
// page's own site, where it leads the whole window to another page.
func (w *Window) ClickInFrame(name string) {
	w.t.Helper()
	w.moves("clicking "+name, func() {
		at := must[[]float64](w, `name => {
			const frame = document.querySelector('iframe')
			const link = [...frame.contentDocument.links].find(e => e.innerText.trim() === name)
			if (!link) return null
			const outer = frame.getBoundingClientRect(), inner = link.getBoundingClientRect()
			return [outer.left + frame.clientLeft + inner.left + inner.width / 2, outer.top + frame.clientTop + inner.top + inner.height / 2]
		}`, name)
		if at == nil {
			w.t.Fatalf("there is no link %q in the frame on %s", name, w.URL())
		}
		w.run("clicking "+name, chromedp.MouseClickXY(at[0], at[1]))
	})
}

// Cookie is one that the browser keeps.
type Cookie struct {
	Name, Value, Path, SameSite string
	Secure, HTTPOnly            bool
}

// Cookies are those that the browser would send to the page's address.
func (w *Window) Cookies() []Cookie {
	w.t.Helper()
	var all []Cookie
	w.run("listing cookies", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		got, err := cdp.Call(ctx, t, network.GetCookies, network.GetCookiesParams{})
		if err != nil {
			return err
		}
		for _, c := range got.Cookies {
			all = append(all, Cookie{Name: c.Name, Value: c.Value, Path: c.Path, SameSite: string(c.SameSite), Secure: c.Secure, HTTPOnly: c.HTTPOnly})
		}
		return nil
	}))
	return all
}

// Resize gives the window another size and colour scheme.
func (w *Window) Resize(width, height int64, dark bool) {
	w.t.Helper()
	w.run("resizing", chromedp.EmulateViewport(width, height), scheme(dark))
}

// Picture is the whole page as PNG.
func (w *Window) Picture() []byte {
	w.t.Helper()
	png, err := chromedp.Run(w.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		w.t.Fatalf("taking a picture: %v", err)
	}
	return png
}
