// Report reads the events of go test -json from a file, prints each package's
// result and the output of what failed, and exits 1 where a test was skipped,
// failed, or none ran.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var (
		output          = make(map[string]*strings.Builder)
		unfinished      = make(map[string]bool)
		skipped, failed []string
		passed          int
		lines           = bufio.NewScanner(f)
	)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Println(lines.Text()) // what the go command says outside of events
			continue
		}
		name := e.Package + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			key := name
			if e.ImportPath != "" {
				key = e.ImportPath
			}
			b := output[key]
			if b == nil {
				b = new(strings.Builder)
				output[key] = b
			}
			b.WriteString(e.Output)
		case "build-fail":
			fmt.Print(output[e.ImportPath])
			failed = append(failed, "building "+e.ImportPath)
		case "start":
			unfinished[e.Package] = true
		case "pass", "fail", "skip":
			if e.Test == "" {
				delete(unfinished, e.Package)
				// A package without test files is reported as skipped.
				fmt.Printf("%-5s %s %.1fs\n", e.Action, e.Package, e.Elapsed)
				if e.Action == "fail" {
					failed = append(failed, e.Package)
					fmt.Print(output[name])
				}
				continue
			}
			switch e.Action {
			case "pass":
				passed++
			case "skip":
				skipped = append(skipped, name)
			case "fail":
				failed = append(failed, name)
				fmt.Print(output[name])
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	for p := range unfinished {
		failed = append(failed, p+" did not finish")
	}
	slices.Sort(failed)
	for _, s := range skipped {
		fmt.Println("skipped:", s)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", passed, len(failed), len(skipped))
	if len(skipped) > 0 || len(failed) > 0 || passed == 0 {
		return fmt.Errorf("failed: %s", strings.Join(append(failed, skipped...), ", "))
	}
	return nil
}
