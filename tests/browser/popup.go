package browser

import (
	"strings"
	"time"

	"github.com/chromedp/chromedp"
)

// Popup is the window that the page has opened of itself, once its address has
// the part in it. It shares the page's cookies; Close closes it.
func (w *Window) Popup(part string) *Window {
	w.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		targets, err := chromedp.Targets(w.ctx)
		if err != nil {
			w.t.Fatalf("listing windows: %v", err)
		}
		for _, one := range targets {
			if one.Type != "page" || !strings.Contains(one.URL, part) {
				continue
			}
			p := &Window{t: w.t, downloads: w.downloads}
			ctx, cancel := chromedp.NewContext(w.ctx, chromedp.WithTargetID(one.TargetID), chromedp.WithListener(p.hear))
			w.t.Cleanup(cancel)
			p.ctx, p.close = ctx, cancel
			p.run("attaching to a window")
			return p
		}
	}
	w.t.Fatalf("no window with %q in its address was opened by %s:\n%s", part, w.URL(), w.Text())
	return nil
}

// Close closes a window that the page has opened.
func (w *Window) Close() { w.close() }
