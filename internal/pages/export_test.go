package pages

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// What the tests of whole pages, which are outside of the package as the samples
// are, hold pages against.
var (
	StyleSheet    = styleSheet
	CompactScript = compact(scriptText, "//", "")
	ScriptFor     = scriptFor
)

// Constants are the values of the package's constants of a type of texts, but
// for the empty one.
func Constants(t testing.TB, of string) []string {
	t.Helper()
	var all []string
	eachSpec(t, func(spec ast.Spec) {
		v, ok := spec.(*ast.ValueSpec)
		if !ok {
			return
		}
		if name, ok := v.Type.(*ast.Ident); !ok || name.Name != of {
			return
		}
		for _, value := range v.Values {
			if text, err := strconv.Unquote(value.(*ast.BasicLit).Value); err == nil && text != "" {
				all = append(all, text)
			}
		}
	})
	if len(all) == 0 {
		t.Fatalf("no constants of type %s", of)
	}
	return all
}

// Views are the names of the types of which the package says that they are
// views.
func Views(t testing.TB) []string {
	t.Helper()
	var all []string
	eachSpec(t, func(spec ast.Spec) {
		if v, ok := spec.(*ast.ValueSpec); ok && v.Names[0].Name == "_" {
			all = append(all, v.Values[0].(*ast.CompositeLit).Type.(*ast.Ident).Name)
		}
	})
	return all
}

func eachSpec(t testing.TB, visit func(ast.Spec)) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				for _, spec := range g.Specs {
					visit(spec)
				}
			}
		}
	}
}
