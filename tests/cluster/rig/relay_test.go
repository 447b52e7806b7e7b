package rig

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// echo answers each line with itself, and says on heard what it read.
func echo(t *testing.T) (addr string, heard chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	heard = make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					heard <- lines.Text()
					fmt.Fprintln(c, lines.Text())
				}
			}()
		}
	}()
	return l.Addr().String(), heard
}

type client struct {
	t *testing.T
	net.Conn
	lines *bufio.Reader
}

func dial(t *testing.T, r *Relay) *client {
	t.Helper()
	c, err := net.Dial("tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t, c, bufio.NewReader(c)}
}

// ask returns the answer, or "nothing" for none in time, or "ended".
func (c *client) ask(line string) string {
	c.t.Helper()
	if line != "" {
		fmt.Fprintln(c, line)
	}
	c.SetReadDeadline(time.Now().Add(150 * time.Millisecond))
	text, err := c.lines.ReadString('\n')
	switch {
	case err == nil:
		return strings.TrimSpace(text)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "nothing"
	}
	return "ended"
}

func TestRelay(t *testing.T) {
	addr, heard := echo(t)
	r, err := NewRelay(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	c := dial(t, r)
	want("whole", c.ask("1"), "1")
	want("heard", <-heard, "1")

	r.Set(Stalled)
	want("stalled", c.ask("2"), "nothing")
	if len(heard) > 0 {
		t.Error("a stalled link carried something")
	}
	late := dial(t, r)
	want("stalled, a new one", late.ask("3"), "nothing")
	r.Set(Whole)
	want("whole again", c.ask(""), "2")
	want("whole again, the new one", late.ask(""), "3")
	<-heard
	<-heard

	r.Set(Deaf)
	want("deaf", c.ask("4"), "nothing")
	want("deaf, heard", <-heard, "4")
	r.Set(Whole)
	want("heard again", c.ask(""), "4")

	r.Set(Dropping)
	want("dropping", c.ask("5"), "nothing")
	r.Set(Whole)
	want("after it lost something", c.ask("6"), "ended")
	if len(heard) > 0 {
		t.Error("what was dropped arrived")
	}
	want("what lost nothing", late.ask("7"), "7")

	r.Set(Cut)
	want("cut", late.ask("8"), "ended")
	if c, err := net.Dial("tcp", r.Addr); err == nil { // it may be reset before it is known
		want("cut, a new one", (&client{t, c, bufio.NewReader(c)}).ask("9"), "ended")
		c.Close()
	}
	r.Set(Whole)
	want("joined", dial(t, r).ask("10"), "10")
}
