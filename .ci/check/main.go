// Command check is the fast check before a commit: formatting, vet, the house and
// the unit tests of what was changed and of what depends on it, in two minutes on
// two processors once the build cache is warm. .ci/run has everything.
//
//	go run ./.ci/check         // against the last commit
//	go run ./.ci/check main    // against another one
//	go run ./.ci/check -all    // all packages
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"
)

func main() {
	all := flag.Bool("all", false, "test all packages")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: go run ./.ci/check [-all] [REVISION]\n\nChecks formatting, vet, the house, and tests the packages that differ from REVISION (HEAD) and those that import them.")
		flag.PrintDefaults()
	}
	flag.Parse()
	since := "HEAD"
	if flag.NArg() > 0 {
		since = flag.Arg(0)
	}
	if err := check(since, *all); err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
}

func check(since string, all bool) error {
	began := time.Now()
	step := func(what string) {
		fmt.Printf("=== %s (%s)\n", what, time.Since(began).Round(time.Second))
	}
	step("formatting")
	files, err := lines("git", "ls-files", "--cached", "--others", "--exclude-standard", "*.go")
	if err != nil {
		return err
	}
	files = slices.DeleteFunc(files, func(f string) bool { _, err := os.Stat(f); return err != nil })
	bad, err := lines("gofmt", append([]string{"-l"}, files...)...)
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		return fmt.Errorf("not formatted: run gofmt -w %s", strings.Join(bad, " "))
	}
	step("go vet")
	if err := run("go", "vet", "./..."); err != nil {
		return err
	}
	packages := []string{"./..."}
	if !all {
		if packages, err = affected(since); err != nil {
			return err
		}
	}
	step(fmt.Sprintf("go test of %d packages", len(packages)))
	if err := run("go", append([]string{"test"}, packages...)...); err != nil {
		return err
	}
	step("all of it holds")
	return nil
}

// affected are the packages in which a file differs from a revision, those that
// import them, and the top one, whose tests hold the house.
func affected(since string) ([]string, error) {
	changed, err := lines("git", "diff", "--name-only", since)
	if err != nil {
		return nil, err
	}
	fresh, err := lines("git", "ls-files", "--others", "--exclude-standard")
	if err != nil {
		return nil, err
	}
	dirs := make(map[string]bool)
	for _, file := range append(changed, fresh...) {
		if file == "go.mod" || file == "go.sum" {
			return []string{"./..."}, nil
		}
		dirs[path.Dir(file)] = true
		if before, _, ok := strings.Cut(file, "/testdata/"); ok {
			dirs[before] = true
		}
	}
	module, err := lines("go", "list", "-m")
	if err != nil {
		return nil, err
	}
	top := module[0]
	all, err := lines("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}} {{join .TestImports \" \"}} {{join .XTestImports \" \"}}", "./...")
	if err != nil {
		return nil, err
	}
	touched := map[string]bool{top: true}
	for dir := range dirs {
		if dir != "." {
			touched[top+"/"+dir] = true
		}
	}
	list := []string{top}
	for _, line := range all {
		words := strings.Fields(line)
		if words[0] != top && slices.ContainsFunc(words, func(w string) bool { return touched[w] && w != top }) {
			list = append(list, words[0])
		}
	}
	return list, nil
}

func run(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, args[0], err)
	}
	return nil
}

func lines(name string, args ...string) ([]string, error) {
	var out, said bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, errors.New(name + " " + args[0] + ": " + err.Error() + ": " + said.String())
	}
	var all []string
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all, nil
}
