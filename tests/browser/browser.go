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
	return start(t, "{}")
}

// StartWithoutCookies starts one whose person allows no cookies anywhere.
func StartWithoutCookies(t T) *Browser {
	t.Helper()
	return start(t, `{"profile":{"default_content_setting_values":{"cookies":2}}}`)
}

// start starts Chromium with the preferences.
func start(t T, preferences string) *Browser {
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
	profile := t.TempDir()
	if err := os.MkdirAll(filepath.Join(profile, "Default"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(profile, "Default", "Preferences"), []byte(preferences), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.NoFirstRun, chromedp.DisableGPU,
		chromedp.UserDataDir(profile), chromedp.WSURLReadTimeout(time.Minute),
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
