package browser

import (
	"context"
	"errors"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Go opens an address, as typed into the address bar.
func (w *Window) Go(url string) {
	w.t.Helper()
	w.moves("opening "+url, func() {
		w.run("opening "+url, tell(page.Navigate, page.NavigateParams{URL: url}))
	})
}

// Back goes one page back.
func (w *Window) Back() { w.t.Helper(); w.steps("going back", -1) }

// Forward goes to the page from which somebody went back.
func (w *Window) Forward() { w.t.Helper(); w.steps("going forward", 1) }

// steps goes so many pages through the window's history, back if n is negative.
func (w *Window) steps(doing string, n int64) {
	w.t.Helper()
	w.moves(doing, func() {
		w.run(doing, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			history, err := cdp.Call(ctx, t, page.GetNavigationHistory, cdp.Empty{})
			if err != nil {
				return err
			}
			to := history.CurrentIndex + n
			if to < 0 || to >= int64(len(history.Entries)) {
				return errors.New("there is no page there")
			}
			_, err = cdp.Call(ctx, t, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: history.Entries[to].ID})
			return err
		}))
	})
}

// History are the addresses of the pages through which Back and Forward lead,
// and which of them is shown.
func (w *Window) History() (urls []string, shown int) {
	w.t.Helper()
	w.run("reading the history", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		history, err := cdp.Call(ctx, t, page.GetNavigationHistory, cdp.Empty{})
		if err != nil {
			return err
		}
		for _, e := range history.Entries {
			urls = append(urls, e.URL)
		}
		shown = int(history.CurrentIndex)
		return nil
	}))
	return urls, shown
}

// BackTo goes back to the page that was there so many pages ago, as from the
// menu of the button.
func (w *Window) BackTo(ago int) { w.t.Helper(); w.steps("going back", -int64(ago)) }

// Reload asks for the page again.
func (w *Window) Reload() {
	w.t.Helper()
	w.moves("reloading", func() { w.run("reloading", tell(page.Reload, page.ReloadParams{})) })
}

// Attach gives a file to the page's only field for files.
func (w *Window) Attach(path string) {
	w.t.Helper()
	w.run("attaching "+path, chromedp.SetUploadFiles(chromedp.CSS("input[type=file]"), []string{path}))
}

// moves does what leads to another page, and waits for that.
func (w *Window) moves(doing string, do func()) {
	w.t.Helper()
	w.leaving++
	must[bool](w, "n => { window.__leaving = n; return true }", w.leaving)
	do()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		// Between two pages there is nothing that could answer.
		there, err := ask[bool](w, "n => window.__leaving !== n && document.readyState === 'complete'", w.leaving)
		if err == nil && there {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	w.t.Fatalf("%s: no other page came; this one is %s:\n%s", doing, w.URL(), w.Text())
}
