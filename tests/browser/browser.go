// Package browser drives a real Chromium, as a person does: by what can be read
// on a page, by pointer and by keyboard, with scripts or without.
//
//	b := browser.Start(t)
//	w := b.Open(browser.Options{NoScripts: true})
//	w.Go("http://bank.localhost:8080/")
//	w.Fill("User name", "alice")
//	w.Click("Sign in")
//	w.Sees("Recent transfers")
//
// Windows share nothing: each has its own cookies. What is not found on a page
// ends the test, with the page's text. It looks at nothing that a person could
// not know, but for what the browser itself complains of; see [Window.Complaints].
package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience is how long anything on a page may take.
const patience = 20 * time.Second

// appearance is how long something may take to appear on a page that is there.
const appearance = 5 * time.Second

// T is what is used of a test. Programs that are no tests have one of their own.
type T interface {
	Helper()
	Fatal(...any)
	Fatalf(format string, args ...any)
	TempDir() string
	Cleanup(func())
}

// Browser is one running Chromium.
type Browser struct {
	t   T
	ctx context.Context
}

// Start starts Chromium with a profile of its own.
func Start(t T) *Browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Fatal("chromium is missing: run .ci/components")
	}
	flags := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.NoFirstRun, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute),
		// One process for all frames of a page, so that one tree shows them.
		chromedp.Flag("disable-features", "site-per-process,IsolateOrigins,Translate"),
	}
	for _, name := range []string{"disable-background-networking", "disable-component-update", "disable-sync", "disable-extensions",
		"disable-default-apps", "disable-dev-shm-usage", "hide-scrollbars", "mute-audio", "disable-site-isolation-trials"} {
		flags = append(flags, chromedp.Flag(name, true))
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), flags...)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		// Chromium must be gone before its profile is removed. It may have ended
		// by itself: then there is nothing left to end.
		_ = chromedp.Cancel(ctx)
		cancel()
		stop()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return &Browser{t: t, ctx: ctx}
}

// Options are what a window is like.
type Options struct {
	NoScripts bool // pages run no JavaScript
	// AnyCertificate accepts certificates of authorities that nobody trusts.
	AnyCertificate bool
	Width, Height  int64 // in CSS pixels; 0 is 1280 × 900
	Dark           bool  // the person prefers dark pages
}

// Window is a window with cookies of its own.
type Window struct {
	t         T
	ctx       context.Context
	downloads string
	close     func() // of a popup; see Close
	leaving   int
	device    webauthn.AuthenticatorID // see Device

	mu         sync.Mutex
	complaints []string
	requests   []*Request // see Requests
	weighed    map[network.RequestID]*Request
}

// Open opens a window, which t's end closes.
func (b *Browser) Open(t T, o Options) *Window {
	t.Helper()
	if o.Width == 0 {
		o.Width, o.Height = 1280, 900
	}
	w := &Window{t: t, downloads: t.TempDir()}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(w.hear))
	t.Cleanup(cancel)
	w.ctx = ctx
	w.run("opening a window", tell(cdplog.Enable, cdp.Empty{}), tell(page.Enable, page.EnableParams{}), tell(runtime.Enable, cdp.Empty{}),
		chromedp.EmulateViewport(o.Width, o.Height), scheme(o.Dark),
		tell(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: o.NoScripts}),
		tell(security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: o.AnyCertificate}),
		chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.CallBrowser(ctx, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{
				Behavior:         cdpbrowser.SetDownloadBehaviorBehaviorAllow,
				BrowserContextID: chromedp.FromContext(ctx).BrowserContextID,
				DownloadPath:     w.downloads,
			})
			return err
		}))
	return w
}

// tell is a command that has no answer worth having.
func tell[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// scheme is what the person prefers.
func scheme(dark bool) chromedp.Action[chromedp.Void] {
	value := "light"
	if dark {
		value = "dark"
	}
	return tell(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}}})
}

// hear collects what the browser complains of.
func (w *Window) hear(event any) {
	w.weigh(event)
	said := ""
	switch e := event.(type) {
	case *cdplog.EventEntryAdded:
		// The status of a page that was asked for is no complaint about it.
		// Nor is it one that we were quicker to the field than its autofocus.
		if e.Entry.Source != cdplog.EntrySourceNetwork && !strings.HasPrefix(e.Entry.Text, "Autofocus processing was blocked") {
			said = fmt.Sprintf("%s: %s", e.Entry.Source, e.Entry.Text)
		}
	case *runtime.EventConsoleAPICalled:
		said = fmt.Sprintf("console %s", e.Type)
	case *runtime.EventExceptionThrown:
		said = "exception: " + e.ExceptionDetails.Text
	}
	if said == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.complaints = append(w.complaints, said)
}

// Complaints are what stands in the browser's console, since the last call.
func (w *Window) Complaints() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.complaints
	w.complaints = nil
	return all
}

// run does what must not fail. The first run of a window opens it, so that one
// has no limit: the window would end with it.
func (w *Window) run(doing string, actions ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	ctx := w.ctx
	if chromedp.FromContext(ctx).Target != nil {
		limited, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		ctx = limited
	}
	if err := chromedp.Do(ctx, actions...); err != nil {
		w.t.Fatalf("%s: %v", doing, err)
	}
}

// ask runs a function of ours on the page; those of the page stay disabled. A
// page that is just being left may never answer, so it is not waited for long.
func ask[R any](w *Window, function string, args ...any) (R, error) {
	in := make([]string, len(args))
	for i, a := range args {
		b, err := json.Marshal(a)
		if err != nil {
			return *new(R), err
		}
		in[i] = string(b)
	}
	ctx, cancel := context.WithTimeout(w.ctx, time.Second)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[R]("("+function+")("+strings.Join(in, ",")+")"))
}

// must is ask for a question that every page answers sooner or later.
func must[R any](w *Window, function string, args ...any) R {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		answer, err := ask[R](w, function, args...)
		if err == nil {
			return answer
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("asking the page: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

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

// Sees ends the test unless the page shows every text, or leads on by itself to
// one that does.
func (w *Window) Sees(texts ...string) {
	w.t.Helper()
	if w.appears("texts => texts.every(t => document.body.innerText.includes(t))", texts) {
		return
	}
	shown := w.Text()
	for _, text := range texts {
		if !strings.Contains(shown, text) {
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
