// Command screenshots takes pictures of every page that people see, light and
// dark, from left to right and from right to left, on a phone and on a screen, for
// somebody to look at.
//
//	go run ./tests/screenshots DIR [LANGUAGE...]
//
// A person's way through the real binary in front of the sample bank is taken in
// English, unless languages are given: then there are only the pages that are drawn.
// Drawn from its view alone is every page in every state, such as that of a failing
// disk, which cannot be brought about in a minute; in the languages given, or in
// English, Arabic and German. All are shown by a real Chromium. Nothing is compared:
// that is for eyes.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/browser"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: screenshots DIR [LANGUAGE...]")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

// session stands where a test stands in tests: its end cleans up, and what goes
// wrong ends it.
type session struct{ cleanups []func() }

type failed struct{ error }

func (*session) Helper() {}

func (*session) Fatal(args ...any) { panic(failed{errors.New(fmt.Sprint(args...))}) }

func (*session) Fatalf(format string, args ...any) { panic(failed{fmt.Errorf(format, args...)}) }

func (s *session) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

func (s *session) TempDir() string {
	dir, err := os.MkdirTemp("", "screenshots-")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (s *session) end(err *error) {
	if why := recover(); why != nil {
		f, ours := why.(failed)
		if !ours {
			panic(why)
		}
		*err = f.error
	}
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		s.cleanups[i]()
	}
}

func run(dir string, langs []string) (err error) {
	s := &session{}
	defer s.end(&err)
	defer gateway.Cleanup()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b := browser.Start(s)
	if len(langs) > 0 {
		return drawn(s, b, dir, langs)
	}
	flow(s, b, dir)
	return drawn(s, b, dir, []string{"en", "ar", "de"})
}

// camera takes a window's page in every form.
type camera struct {
	*browser.Window
	s   *session
	dir string
}

// shoot takes the page as it is.
func (c *camera) shoot(name string) {
	for _, width := range []int64{320, 1280} {
		for _, dark := range []bool{false, true} {
			scheme := "light"
			if dark {
				scheme = "dark"
			}
			// Lower than every page: of one that is lower than its window and runs
			// from right to left, the browser takes a picture beside it. A frame
			// is as high as its window.
			height := int64(200)
			if len(c.Frames()) > 0 {
				height = 740
			}
			c.Resize(width, height, dark)
			path := filepath.Join(c.dir, fmt.Sprintf("%s-%d-%s.png", name, width, scheme))
			if err := os.WriteFile(path, c.whole(), 0o644); err != nil {
				c.s.Fatal(err)
			}
		}
	}
	fmt.Println(name)
}

// whole is a picture on which nothing is missing: in one of many the browser
// leaves out what lies outside of the window.
func (c *camera) whole() []byte {
	one := c.Picture()
	for range 5 {
		other := c.Picture()
		if bytes.Equal(one, other) {
			break
		}
		one = other
	}
	return one
}

// flow walks through the bank.
func flow(s *session, b *browser.Browser, dir string) {
	const invited = `
http://framed.localhost:GW_PORT {
	vars user ann
	step_up {
		tenant framed
		identity placeholder {http.vars.user}
		protect SECRET /secret {
			label "Show the personnel file"
			grant time_based 5m
		}
	}
	header Content-Type "text/html; charset=utf-8"
	respond /outer "<!doctype html><title>outer</title><body style='margin:0'><iframe style='border:0;width:100vw;height:100vh' src=/secret></iframe>"
	respond ok
}
`
	var old gateway.App
	site := gateway.StartOldBank(s, gateway.OldBankOptions{
		Plain:  []string{"bank", "aged"},
		Edit:   func(caddyfile string) string { return caddyfile + invited },
		Before: func(g *gateway.OldBank) { old = g.EnrollEarlier("aged", "alice", 30*time.Hour) },
	})
	c := &camera{Window: b.Open(s, browser.Options{NoScripts: true}), s: s, dir: dir}
	signIn := func(at string) {
		c.Go(at + "/login")
		c.Fill("User name", "alice")
		c.Fill("Password", "wonderland")
		c.Click("Sign in")
		c.Sees("Recent transfers")
	}
	home := site.At("bank")
	c.Go(home + "/.step-up/")
	c.shoot("01-bank-sign-in")
	signIn(home)
	c.Go(home + "/.step-up/")
	c.shoot("02-security-empty")
	c.Go(home + "/transfer")
	transfer := func() {
		c.Go(home + "/transfer")
		c.Select("To", "Bob")
		c.Fill("Amount", "12.50")
		c.Click("Transfer now")
	}
	transfer()
	c.shoot("03-enroll-start")
	c.Fill("Name for this device", "Phone")
	c.Click("Continue")
	c.shoot("04-enroll")
	c.Toggle("Cannot scan it?")
	c.shoot("05-enroll-key")
	app, err := gateway.NewApp(c.Texts(".secret")[0])
	if err != nil {
		s.Fatal(err)
	}
	c.Fill("Enter the code", "000000")
	c.Click("Finish")
	c.shoot("06-enroll-wrong")
	c.Fill("Enter the code", app.Code(s))
	c.Click("Finish")
	c.shoot("07-recovery-codes")
	c.Fill("I keep these codes", " ")
	c.shoot("07-recovery-codes-kept")
	c.Click("I have saved them, continue")
	c.Sees("Paid to")
	transfer()
	c.shoot("08-challenge")
	c.Click("Use a recovery code instead")
	c.shoot("09-challenge-recovery")
	c.Click("Use your authenticator app instead")
	c.Fill("Code from", app.WrongCode())
	c.Click("Confirm")
	c.shoot("10-challenge-wrong")
	c.Fill("Code from", app.Code(s))
	c.Click("Confirm")
	c.Sees("Paid to")
	c.Click("Account")
	c.Click(time.Now().UTC().Format("January 2006"))
	c.Fill("Code from", app.Code(s))
	c.Download("Confirm")
	c.Go(home + "/.step-up/")
	c.shoot("11-security")
	c.Click("Lock now")
	c.shoot("12-security-done")
	c.Click("Remove Phone")
	c.shoot("13-challenge-remove")
	c.Fill("Code from", app.Code(s))
	c.Click("Confirm")
	c.shoot("14-confirm-remove")
	c.Go(home + "/.step-up/")
	c.Click("Generate new codes")
	c.Fill("Code from", app.Code(s))
	c.Click("Confirm")
	c.shoot("15-confirm-renew")
	c.Click("Generate new codes")
	c.shoot("16-recovery-codes-renewed")
	c.Go(home + "/.step-up/")
	c.Click("Rename Phone")
	c.Fill("Code from", app.Code(s))
	c.Click("Confirm")
	c.shoot("17-rename")
	transfer()
	for range 5 {
		c.Fill("Code from", app.WrongCode())
		c.Click("Confirm")
	}
	c.shoot("18-too-many-attempts")
	c.Go(home + "/.step-up/challenge/" + strings.Repeat("A", 22))
	c.shoot("19-expired")
	c.Go(home + "/.step-up/nothing")
	c.shoot("20-not-found")
	c.Go(home + "/admin/..%2fstatements/x.csv")
	c.shoot("21-ambiguous")

	signIn(site.At("aged"))
	c.Go(site.At("aged") + "/.step-up/")
	c.Click("Add a verification method")
	c.Fill("Code from", old.Code(s))
	c.Click("Confirm")
	c.Sees("Name for this device")
	c.Fill("Name for this device", "A telephone with a very long name that goes on and on, and on")
	c.Click("Continue")
	c.Toggle("Cannot scan it?")
	if app, err = gateway.NewApp(c.Texts(".secret")[0]); err != nil {
		s.Fatal(err)
	}
	c.Fill("Enter the code", app.Code(s))
	c.Click("Finish")
	c.shoot("22-security-two")
	c.Click("Generate new codes")
	c.Fill("Code from", app.Code(s))
	c.Click("Confirm")
	c.shoot("23-too-new")
	c.Go(site.At("framed") + "/outer")
	c.shoot("24-frame")
}
