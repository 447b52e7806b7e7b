// Record records tests/honest/testdata/requests.jsonl.gz: it starts real
// applications on addresses of their own, lets real clients use them through a
// tap, and keeps what the clients sent.
//
//	bash tests/honest/record/install                   # once, as root
//	go run ./tests/honest/record                       # all of it
//	go run ./tests/honest/record -only dokuwiki,git    # these again, the rest stays
//
// Requests are never written by hand here: where many are needed, the clients are
// given many names and texts.
package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
	"github.com/stepup-gateway/caddy-stepup/tests/honest"
)

// app is an application while it is recorded.
type app struct {
	gateway.T
	name     string
	taps     []*tap
	names    map[string]string // what stands for addresses and directories
	replacer *strings.Replacer
}

// recordings has how each application is recorded, by its name.
var recordings = map[string]func(*app){}

func main() {
	out := flag.String("o", "tests/honest/testdata/requests.jsonl.gz", "the corpus")
	only := flag.String("only", "", "applications to record again, with commas between; the others stay as they are")
	flag.Parse()
	var kept []honest.Request
	names := strings.Split(*only, ",")
	if *only == "" {
		names = nil
		for name := range recordings {
			names = append(names, name)
		}
		slices.Sort(names)
	} else if old, err := honest.Load(*out); err == nil {
		kept = slices.DeleteFunc(old, func(r honest.Request) bool { return slices.Contains(names, r.App) })
	} else if !os.IsNotExist(err) {
		exit(err)
	}
	failed := false
	for _, name := range names {
		run, there := recordings[name]
		if !there {
			exit(fmt.Errorf("there is no application %q", name))
		}
		start := time.Now()
		got, err := one(name, run)
		fmt.Printf("%-16s %5d requests in %v\n", name, len(got), time.Since(start).Round(time.Second))
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			failed = true
			continue
		}
		kept = append(kept, got...)
	}
	slices.SortStableFunc(kept, func(a, b honest.Request) int { return cmp.Compare(a.App, b.App) })
	if err := honest.Save(*out, kept); err != nil {
		exit(err)
	}
	fmt.Println(len(kept), "requests in", *out)
	if failed {
		os.Exit(1)
	}
}

func exit(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// parts are what a page consists of, by Sec-Fetch-Dest. The same one is kept once,
// whichever page it is a part of.
var parts = []string{"image", "script", "style", "font"}

// one records one application. The same request is kept once.
func one(name string, run func(*app)) (got []honest.Request, err error) {
	err = gateway.Program(func(t gateway.T) {
		a := &app{T: t, name: name, names: make(map[string]string)}
		run(a)
		time.Sleep(200 * time.Millisecond)
		seen := make(map[string]bool)
		for _, t := range a.taps {
			t.mu.Lock()
			for _, r := range t.got {
				r = a.clean(r)
				same := r
				if slices.Contains(parts, r.Header.Get("Sec-Fetch-Dest")) {
					same.Header = r.Header.Clone()
					same.Header.Del("Referer")
				}
				key, err := json.Marshal(same)
				if err != nil {
					a.Fatal(err)
				}
				if !seen[string(key)] {
					seen[string(key)] = true
					got = append(got, r)
				}
			}
			t.mu.Unlock()
		}
	})
	return got, err
}
