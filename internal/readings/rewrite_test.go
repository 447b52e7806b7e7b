package readings

import "testing"

// One example for every rewrite, and one on which it must not act.
func TestRewrites(t *testing.T) {
	examples := map[string][2][2]string{
		"decode":                  {{"/%61%2f%25%zz%4", "/a/%%zz%4"}, {"/a", "/a"}},
		"decode all but %2F":      {{"/%61%2f%2Fb%5c", `/a%2f%2Fb\`}, {"/%2f", "/%2f"}},
		"decode, %uXXXX too":      {{"/%u002f%U0061%41%u00g1", "//aA%u00g1"}, {"/%u00", "/%u00"}},
		"plus is space":           {{"/a+b", "/a b"}, {"/a%2b", "/a%2b"}},
		"backslash is slash":      {{`/a\b\`, "/a/b/"}, {"/a%5c", "/a%5c"}},
		"strip ;params":           {{"/a;b/..;c=d/;/e;", "/a/..//e"}, {"/a%3b/c", "/a%3b/c"}},
		"cut at ;":                {{"/a;b/c", "/a"}, {"/a,b", "/a,b"}},
		"merge slashes":           {{"///a//b/", "/a/b/"}, {"/a/b", "/a/b"}},
		"drop //authority":        {{"//h:1/a//b", "/a//b"}, {"/a//b", "/a//b"}},
		"drop ///authority":       {{"////h/a", "/a"}, {"/a//b", "/a//b"}},
		"resolve dots":            {{"/../a/./b//../c/..", "/a/b/"}, {"/..a/b./...", "/..a/b./..."}},
		"resolve %2e too":         {{"/a/%2e%2E/b/.%2e/%2e/c%2f", "/c%2f"}, {"/%2e%2e%2e/%2ea", "/%2e%2e%2e/%2ea"}},
		"cut before the last ..":  {{"/a/../b/../c", "/a/../b/"}, {"/..a/b../...", "/..a/b../..."}},
		"cut behind a script":     {{"/a.php.PHPx/y.css", "/a.php.PHP"}, {"/a.php", "/a.php"}},
		"behind a script alone":   {{"/index.phpadmin/x;/y.css/z", "/admin/x;/y.css/z"}, {"/a.php", "/a.php"}},
		"trim segments":           {{"/a. ./b /.. /. /c...", "/a/b/.././c"}, {"/../.a/ b", "/../.a/ b"}},
		"trim end":                {{"/a \t\x85\u00a0\x00\u0085\xa0", "/a"}, {"/a /à", "/a /à"}},
		"drop last slash":         {{"/a//", "/a"}, {"/", "/"}},
		"cut at NUL":              {{"/a\nb\x00c", "/a\nb"}, {"/a\n", "/a\n"}},
		"cut at newline":          {{"/a\x00b\rc", "/a\x00b"}, {"/a\t", "/a\t"}},
		"cut at control":          {{"/a\x7fb\x00", "/a"}, {"/a b", "/a b"}},
		"drop tab and newline":    {{"/a\tb\r\nc\x00", "/abc\x00"}, {"/a\x01", "/a\x01"}},
		"drop controls":           {{"/a\tb\x00\x7f", "/ab"}, {"/a b", "/a b"}},
		"cut at ?":                {{"/a#b?c", "/a#b"}, {"/a", "/a"}},
		"cut at #":                {{"/a?b#c", "/a?b"}, {"/a", "/a"}},
		"cut NTFS stream":         {{"/a:$i30:$INDEX_ALLOCATION/b::$DATA", "/a/b"}, {"/a:b/:$c/$d", "/a:b/:$c/$d"}},
		"path info alone":         {{"/a/b.PHP/c.php/d", "/c.php/d"}, {"/a.txt/b.php", "/a.txt/b.php"}},
		"take ../ out":            {{"/x/..././a/./b/....//c", "/x/../a/./b/../c"}, {"/.a/..", "/.a/.."}},
		"cut path info":           {{"/a.php/b.JSP/c", "/a.php/b.JSP"}, {"/a.txt/b.php", "/a.txt/b.php"}},
		"overlong UTF-8":          {{"/\xc0\xaf\xe0\x80\xaf\xc1\x1c\xf8\x80\x80\x80\xae", "///\\."}, {"/é€😀\xc3", "/é€😀\xc3"}},
		"stray bytes are Latin-1": {{"/caf\xe9é", "/caféé"}, {"/é", "/é"}},
		"stray bytes vanish":      {{"/caf\xe9é", "/café"}, {"/é", "/é"}},
		"NFC":                     {{"/e\u0301", "/é"}, {"/é／", "/é／"}},
		"NFKC":                    {{"/a／b．．＼", `/a/b..\`}, {"/é", "/é"}},
		"look-alikes":             {{"/ſı\u212a∕⁄∖\u200b", `/sik//\`}, {"/É東", "/É東"}},
	}
	for _, rw := range rewrites {
		cases, ok := examples[rw.name]
		if !ok {
			t.Errorf("%s: no example", rw.name)
		}
		for _, c := range cases {
			if got := string(rw.to(nil, c[0])); got != c[1] {
				t.Errorf("%s: %q becomes %q, want %q", rw.name, c[0], got, c[1])
			}
			if c[0] != c[1] && features(c[0])&rw.needs == 0 {
				t.Errorf("%s: would not be tried on %q", rw.name, c[0])
			}
		}
		delete(examples, rw.name)
	}
	for name := range examples {
		t.Errorf("%s: no such rewrite", name)
	}
}
