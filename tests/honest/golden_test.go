package honest_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/tests/honest"
)

const golden = "testdata/golden.txt.gz"

// The golden file has the digest of the requests, then the outcomes that occur, one
// a line, an empty line, and for each request a line with a letter for each site.

func letter(i int) byte { return byte('A' + i) }

func writeGolden(of string, all [][]string) error {
	var kinds []string
	var lines bytes.Buffer
	for _, outcomes := range all {
		for _, o := range outcomes {
			i := slices.Index(kinds, o)
			if i < 0 {
				i = len(kinds)
				kinds = append(kinds, o)
			}
			lines.WriteByte(letter(i))
		}
		lines.WriteByte('\n')
	}
	if len(kinds) > 60 {
		return fmt.Errorf("%d kinds of outcomes", len(kinds))
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	fmt.Fprintf(z, "%s\n", of)
	for _, k := range kinds {
		fmt.Fprintf(z, "=%s\n", k)
	}
	fmt.Fprintf(z, "\n%s", lines.Bytes())
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(golden, b.Bytes(), 0o644)
}

func readGolden() (all [][]string, of string, err error) {
	f, err := os.Open(golden)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, "", err
	}
	var kinds []string
	s := bufio.NewScanner(z)
	s.Scan()
	of = s.Text()
	for s.Scan() && s.Text() != "" {
		kinds = append(kinds, strings.TrimPrefix(s.Text(), "="))
	}
	for s.Scan() {
		line := s.Bytes()
		if len(line) != len(sites) {
			return nil, "", errors.New("the golden file is about other sites")
		}
		var outcomes []string
		for _, c := range line {
			if int(c-'A') >= len(kinds) {
				return nil, "", fmt.Errorf("no outcome %c", c)
			}
			outcomes = append(outcomes, kinds[c-'A'])
		}
		all = append(all, outcomes)
	}
	return all, of, s.Err()
}

// difference is a change of outcome that some requests share.
type difference struct{ site, app, before, now string }

func (d difference) String() string {
	return strings.Join([]string{d.site, d.app, d.before, d.now}, "\t")
}

// expected reads testdata/differences.txt.
func expected(t *testing.T) map[difference]int {
	t.Helper()
	text, err := os.ReadFile("testdata/differences.txt")
	if err != nil {
		t.Fatal(err)
	}
	list := make(map[difference]int)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		n := 0
		if len(f) == 6 {
			n, _ = strconv.Atoi(f[4])
		}
		if n == 0 || f[5] == "" {
			t.Fatalf("testdata/differences.txt: %q: want SITE, APPLICATION, BEFORE, NOW, COUNT and REASON with tabs between", line)
		}
		list[difference{f[0], f[1], f[2], f[3]}] = n
	}
	return list
}

// compare fails for every difference that is not listed, and for each that is
// listed and not there.
func compare(t *testing.T, all []honest.Request, before, now [][]string) {
	t.Helper()
	found := make(map[difference][]int)
	for i := range all {
		for n, s := range sites {
			if before[i][n] != now[i][n] {
				d := difference{s.name, all[i].App, before[i][n], now[i][n]}
				found[d] = append(found[d], i)
			}
		}
	}
	list := expected(t)
	for d, at := range found {
		if list[d] == len(at) {
			continue
		}
		t.Errorf("%s: %d requests, listed are %d; for example\n%s", strings.ReplaceAll(d.String(), "\t", " | "), len(at), list[d], examples(all, at))
	}
	for d, n := range list {
		if len(found[d]) == 0 {
			t.Errorf("%s: %d are listed, and there is none", strings.ReplaceAll(d.String(), "\t", " | "), n)
		}
	}
}

// examples shows three of the requests: the first, one in the middle, the last.
func examples(all []honest.Request, at []int) string {
	var b strings.Builder
	for _, i := range slices.Compact([]int{at[0], at[len(at)/2], at[len(at)-1]}) {
		r := all[i]
		fmt.Fprintf(&b, "\t#%d %s %s %v %.300q\n", i, r.Method, r.Target, r.Header, r.Body())
	}
	return b.String()
}
