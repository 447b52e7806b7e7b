package readings

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/readings/spellings"
)

func hasPath(paths []string, want string) bool {
	return slices.ContainsFunc(paths, func(p string) bool { return strings.EqualFold(p, want) })
}

// Whatever path a server makes of a target, the gateway must have thought of
// it, or refuse. The servers differ, the spellings are those of the grammar.
func TestS06EveryServersReadingIsListed(t *testing.T) {
	for _, protected := range []string{"/admin/secret", "/link.php"} {
		spelt, refused, reached := 0, 0, map[string]int{}
		for target := range spellings.Of(protected) {
			spelt++
			paths, err := Paths(target)
			if err != nil {
				refused++
				if !errors.Is(err, ErrTooMany) {
					t.Fatalf("Paths(%q): %v", target, err)
				}
				continue
			}
			for _, o := range oracles {
				p, ok := o.read(target)
				if !ok {
					continue
				}
				if strings.EqualFold(p, protected) {
					reached[o.name]++
				}
				if !hasPath(paths, p) {
					t.Errorf("%s reads %q as %q; not among %q", o.name, target, p, paths)
				}
				if plain, _, _ := strings.Cut(target, "?"); Single(target) && !strings.EqualFold(p, plain) {
					t.Errorf("%s reads %q as %q, but it is called single", o.name, target, p)
				}
			}
			if t.Failed() {
				t.FailNow()
			}
		}
		if spelt < 2000 {
			t.Errorf("only %d spellings", spelt)
		}
		for _, o := range oracles {
			if reached[o.name] == 0 {
				t.Errorf("no spelling reaches %s by way of %s: the oracle proves nothing", protected, o.name)
			}
		}
		t.Logf("%s: %d spellings, %d refused, reached %v", protected, spelt, refused, reached)
		if refused > spelt/3 {
			t.Errorf("%d of %d spellings refused: the limit does the work", refused, spelt)
		}
	}
}

// One trick at a time is always read, and never refused.
func TestS06SingleTricks(t *testing.T) {
	for _, target := range []string{
		"/admin/secret", "/ADMIN/secret", "//admin/secret", "/admin//secret", "/admin/./secret", "/x/../admin/secret",
		"/admin/%2e/secret", "/x/%2e%2e/admin/secret", "/admin%2fsecret", "/admin%2Fsecret", "/admin%5csecret", `/admin\secret`,
		"/admin%252fsecret", "/admin/%73ecret", "/admin/%2573ecret", "/admin;x/secret", "/admin;x=1/secret;y", "/admin/secret;",
		"/x/..;/admin/secret", "/admin/secret/", "/admin/secret/.", "/admin/secret.", "/admin/secret%20", "/admin/secret%2e",
		"/admin/secret%00", "/admin/secret%00.png", "/admin/secret%0a", "/admin/secret%0d%0aX", "/admin/se%09cret", "/admin/secret%09",
		"/admin/secret%3fx", "/admin/secret%23x", "/admin/secret#x", "/admin/secret?x=/../y", "http://h/admin/secret", "HTTPS://u:p@h:1/admin/secret?x",
		`http://h\admin/secret`, "//h/admin/secret", `/\h/admin/secret`, "///h/admin/secret", "/admin%c0%afsecret", "/admin%e0%80%afsecret",
		"/x/%c0%ae%c0%ae/admin/secret", "/admin%c1%1csecret", "/admin%ef%bc%8fsecret", "/x/%ef%bc%8e%ef%bc%8e/admin/secret", "/admin%e2%88%95secret",
		"/admin%u002fsecret", "/admin%25u002fsecret", "/admin/%c5%bfecret", "/adm%c4%b1n/secret", "/admin/secret::$DATA", "/admin:$i30:$INDEX_ALLOCATION/secret",
		"/../admin/secret", "/%2e%2e/admin/secret", "/admin/secret%a0", "/admin/secret%85", "/admin/secret%c2%a0", "/admin/se%e2%80%8bcret",
		"/x%2fy/%2e%2e/admin/secret", "/admin/secret/x/..", "/.%2fadmin/secret", "/admin%20/secret", "/admin./secret", "/admin.%20/secret",
		"/admin/se%ffcret", "/;/admin/secret", "/admin/secret+", "http:/admin/secret", "/adm%01in/secret",
	} {
		paths, err := Paths(target)
		if err != nil || !hasPath(paths, "/admin/secret") {
			t.Errorf("Paths(%q) = %q, %v", target, paths, err)
		}
		if Single(target) && target != "/admin/secret" && target != "/ADMIN/secret" && target != "/admin/secret?x=/../y" {
			t.Errorf("Single(%q)", target)
		}
	}
}

func TestS06ScriptsWithPathInfo(t *testing.T) {
	for _, target := range []string{"/admin.php/x", "/admin.PHP/x/y.php/z", "/admin.php/", "/admin.php%2fx", "/admin.php/x.css"} {
		if paths, err := Paths(target); err != nil || !hasPath(paths, "/admin.php") || Single(target) {
			t.Errorf("Paths(%q) = %q, %v", target, paths, err)
		}
	}
}

// A front controller finds its route behind its own name, or in the query.
func TestS06FrontControllers(t *testing.T) {
	for _, target := range []string{
		"/index.php/admin/x", "/INDEX.PHP/admin/x", "/app/index.php/admin/x", "/index.php//admin/x", "/index.php%2fadmin/x", "/x/../index.php/admin/x",
		"/a.php/index.php/admin/x", "/index.php/%61dmin/x", "/?/admin/x", "/index.php?/admin/x", "/index.php?/admin/x&a=b", "/?/admin/x?a", "/?%2Fadmin%2fx",
		"/p?/%2561dmin/x",
	} {
		if paths, err := Paths(target); err != nil || !hasPath(paths, "/admin/x") || Single(target) {
			t.Errorf("Paths(%q) = %q, %v; single: %t", target, paths, err, Single(target))
		}
	}
}

// Characters whose case folds into ASCII.
func TestS06CaseBeyondASCII(t *testing.T) {
	for target, want := range map[string]string{
		"/lin%e2%84%aa":    "/link", // Kelvin sign
		"/%C5%BFecret":     "/secret",
		"/adm%c4%b1n":      "/admin",
		"/adm%c4%b0n":      "/admin",
		"/%ef%bc%a1dmin":   "/admin",
		"/o%CC%88l":        "/öl", // decomposed
		"/%e1%ba%9e%cf%82": "/ßσ", // sharp s, final sigma
	} {
		if paths, err := Paths(target); err != nil || !hasPath(paths, want) {
			t.Errorf("Paths(%q) = %q, %v; want %q among them", target, paths, err, want)
		}
	}
}

func TestPathsOrderAndForms(t *testing.T) {
	for _, tt := range []struct {
		target string
		want   []string
	}{
		{"/", []string{"/"}},
		{"", []string{"/"}},
		{"*", []string{"*"}},
		{"?x", []string{"/"}},
		{"/a", []string{"/a"}},
		{"/a?b=/../%2e", []string{"/a"}},
		{"/a/", []string{"/a/", "/a"}},
		{"/a%20b", []string{"/a b", "/a%20b"}},
		{"/100%", []string{"/100%"}},
		{"/%zz%4", []string{"/%zz%4"}},
		{"/..", []string{"/..", "/"}},
		{"host:443", []string{"/", "/443", "/host:443"}},
		{"host", []string{"/host", "/"}},
		{"http://h", []string{"/", "/http://h", "/http:/h"}},
	} {
		got, err := Paths(tt.target)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("Paths(%q) = %q, %v; want %q", tt.target, got, err, tt.want)
		}
	}
}

// What real sites use must stay far below the limit.
func TestHonestTargetsHaveFewReadings(t *testing.T) {
	for _, tt := range []struct {
		target string
		most   int
	}{
		{"/files/M%C3%A9moire%20d%27ann%C3%A9e;v=1%2C2/", 8},
		{"/wiki/Sp%C3%A9cial:Recherche/%E2%82%AC_(monnaie)", 4},
		{"/wiki/%E6%9D%B1%E4%BA%AC%EF%BC%88%EF%BC%A1%EF%BC%89/", 6},
		{"/%CE%BF%CE%B4%CF%8C%CF%82/%CF%83%CF%84%CE%BF%CF%82", 4},
		{"/api/v4/projects/group%2Fsub%2Fproject/repository/files/a%20b%2Ec/raw", 6},
		{"/.well-known/openid-configuration", 1},
		{"/@scope%2fname/-/name-1.0.0.tgz", 3},
		{"/c%2B%2B/c++/", 18},
		{"/odata/Products(1)/$value", 1},
		{"/index.php/2024/05/a-title/", 5},
		{"/index.php/apps/files/?dir=/a%20b", 5},
		{"/maps/@52.5,13.4,15z/data=!3m1", 1},
		{"/a;jsessionid=0A1B.node1?x=1", 2},
		{"/search/100%25%20sure%3F", 12},
		{"/emoji/%F0%9F%91%A9%E2%80%8D%F0%9F%92%BB/", 6},
		{"/" + strings.Repeat("%E6%9D%B1%E4%BA%AC", 227) + "/", 4},
		{"/" + strings.Repeat("%20M%C3%A9moire", 136) + ";v=1/", 8},
		{"/remote.php/dav/files/alice/Fotos%202024/%C3%9Cbersicht.jpg", 6},
	} {
		got, err := Paths(tt.target)
		if err != nil || len(got) > tt.most {
			t.Errorf("Paths(%q): %d readings, want at most %d: %q, %v", tt.target, len(got), tt.most, got, err)
		}
	}
}

func TestSingle(t *testing.T) {
	for _, target := range []string{"/", "/a", "/a?b/", "/a/b.c/d-e_f~g", "/v1.2/x", "/a?%2e", "/?", "/:80/a@b!c,d='(e)*&f", "/a..b", "/x.php?y", "/?#"} {
		if !Single(target) {
			t.Errorf("Single(%q) = false", target)
		}
	}
	for _, target := range []string{
		"", "*", "?", "a", "http://h/", "host:1", "//", "/a/", "/a//b", "/.a", "/a/.", "/a/../b", "/a.", "/a./b", "/a.?x", "/a/?x", "/a b", "/a ",
		"/%61", `/a\b`, "/a;b", "/a\x00", "/a\x7f", "/a\t", "/é", "/a\xff", "/a#b", "/a+b", "/a$b", "/x.php/y", "/x.JSP/y", "/a/x.do/y",
	} {
		if Single(target) {
			t.Errorf("Single(%q) = true", target)
		}
	}
}

// Targets made to keep the gateway busy are refused, or read at once.
func TestS19HostileTargetsAreBounded(t *testing.T) {
	for _, piece := range []string{
		"%25%32%35", "%25", "25", "%2525", "/%2e%2e;x%5c%00%c0%af", "/..", "//", "/a/%2e%2e", ";", ";/", "%00", "+%2b", "\\..", "\uFDFA", "%EF%B7%BA",
		"%CC%81", "\u0301", "a.php/", "%u0025", "%u00", "\xc0", "\xfc\x80", ". ", "%20.", "a:$/", "#%23", "\x00\r\t", "\u200b\u017f", "%C5%BF", "é%",
	} {
		for _, size := range []int{1 << 10, 16 << 10, 1 << 20} {
			target := "/%" + strings.Repeat(piece, size/len(piece))
			start := time.Now()
			paths, err := Paths(target)
			if took := time.Since(start); took > 250*time.Millisecond { // far above: the machine may be busy
				t.Errorf("Paths(%q × %d) took %v", piece, size/len(piece), took)
			}
			if err != nil && !errors.Is(err, ErrTooMany) || len(paths) > Limit {
				t.Errorf("Paths(%q × %d): %d readings, %v", piece, size/len(piece), len(paths), err)
			}
		}
	}
}

func FuzzPaths(f *testing.F) {
	n := 0
	for target := range spellings.Of("/admin/secret") {
		if n++; n%97 == 0 {
			f.Add(target)
		}
	}
	for _, s := range []string{"", "*", "/", "host:443", "http:", "http://", `http://h\a?b#c`, "/a.php/b", "/%u0025%25u", "//a\\b//c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		paths, err := Paths(target)
		if err != nil {
			if !errors.Is(err, ErrTooMany) {
				t.Fatal(err)
			}
			return
		}
		if len(paths) == 0 || len(paths) > Limit {
			t.Fatalf("%d readings of %q", len(paths), target)
		}
		for i, p := range paths {
			if slices.Contains(paths[:i], p) {
				t.Fatalf("%q twice among %q", p, paths)
			}
		}
		if Single(target) {
			if plain, _, _ := strings.Cut(target, "?"); len(paths) != 1 || paths[0] != plain {
				t.Fatalf("%q is called single but reads as %q", target, paths)
			}
		}
		for _, o := range oracles {
			if p, ok := o.read(target); ok && !hasPath(paths, p) {
				t.Fatalf("%s reads %q as %q; not among %q", o.name, target, p, paths)
			}
		}
	})
}

func BenchmarkSingle(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Single("/reports/2024/summary")
	}
}

func BenchmarkPaths(b *testing.B) {
	for name, target := range map[string]string{
		"slash":   "/reports/",
		"escapes": "/files/M%C3%A9moire%20d%27ann%C3%A9e;v=1%2C2/",
		"hostile": "/x/" + strings.Repeat("%25%32%35", 1800),
		"refused": "/%2e%2e;x/" + strings.Repeat("%2e%2e;x%5c%00%c0%af/", 100),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Paths(target)
			}
		})
	}
}

// A router that goes by prefix and resolves no dots takes what stands before them.
func TestS06PrefixRouters(t *testing.T) {
	for target, want := range map[string][]string{
		"/admin/graphql/../..":             {"/admin/graphql", "/admin/graphql/", "/admin/", "/admin", "/"},
		"/admin/..":                        {"/admin", "/admin/", "/"},
		"/admin/x/../../public/y":          {"/admin/x", "/admin/x/", "/public/y"},
		"/transfer/pay/../../view/x":       {"/transfer/pay", "/view/x"},
		"/a/b/../c/../../d":                {"/a/b", "/a/c", "/a/b/../c", "/d"},
		"/admin/..;/..;/x":                 {"/admin", "/x"},
		"/admin/%2e%2e":                    {"/admin", "/"},
		"/admin/%2E./%2e%2E/x":             {"/admin", "/x"},
		`/admin/..\..\x`:                   {"/admin", "/x"},
		"/admin/..%2f..%5cx":               {"/admin", "/x"},
		"/admin/..%20/x":                   {"/admin", "/x"},
		"/admin/.%2e%20;a/x":               {"/admin", "/x"},
		"/admin/%252e%252e/x":              {"/admin", "/x"},
		"/ADMIN/x/..%00/y":                 {"/ADMIN/x"},
		"/x/..%2fadmin/y/%2e%2e/%2e%2e/z":  {"/admin/y", "/z"},
		"http://other.example/admin/../..": {"/admin"},
		"/admin//../x":                     {"/admin//", "/admin", "/x"},
		"/admin/....x/y/../../../":         {"/admin/....x/y"},
	} {
		paths, err := Paths(target)
		if err != nil || Single(target) {
			t.Errorf("Paths(%q): %v, single %t", target, err, Single(target))
		}
		for _, w := range want {
			if !hasPath(paths, w) {
				t.Errorf("Paths(%q) = %q; want %q among them", target, paths, w)
			}
		}
	}
}

// Caddy and others split a FastCGI path at the first ".php", wherever it stands.
func TestS06ScriptsSplitAnywhere(t *testing.T) {
	for _, target := range []string{
		"/admin.php.php", "/admin.phpX/y.php", "/admin.PHP.php", "/admin.php.css", "/admin.phpx", "/admin.php%00.php", "/admin.php%2ephp", "/admin.php/.php",
		"/admin.php.x.php.y.php", "/admin.php5/x.php", "/admin.php~", "/admin.php.", "/admin.php;.php", "/admin.php%20.php",
	} {
		if paths, err := Paths(target); err != nil || !hasPath(paths, "/admin.php") || Single(target) {
			t.Errorf("Paths(%q) = %q, %v; single %t", target, paths, err, Single(target))
		}
	}
	for _, target := range []string{"/admin.php", "/a.ph/p", "/x.css", "/a.b.c/d.e", "/a.js.map", "/php.d/x"} {
		if paths, err := Paths(target); err != nil || len(paths) != 1 || !Single(target) {
			t.Errorf("Paths(%q) = %q, %v; single %t", target, paths, err, Single(target))
		}
	}
}
