package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
)

const module = "github.com/stepup-gateway/caddy-stepup"

// source reads comments of the packages of this module.
type source struct {
	root     string
	packages map[string][]*ast.File // by import path
}

func newSource(root string) *source {
	return &source{root: root, packages: make(map[string][]*ast.File)}
}

// files returns the parsed files of a package, without its tests.
func (s *source) files(importPath string) ([]*ast.File, error) {
	if files, ok := s.packages[importPath]; ok {
		return files, nil
	}
	dir := filepath.Join(s.root, strings.TrimPrefix(importPath, module))
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("reading %s: no files (%v)", importPath, err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", importPath, err)
		}
		files = append(files, f)
	}
	s.packages[importPath] = files
	return files, nil
}

// described is what the comments of a struct say.
type described struct {
	text   string
	fields map[string]string // by Go name
}

// structOf returns the comments of a struct type.
func (s *source) structOf(t reflect.Type) (described, error) {
	files, err := s.files(t.PkgPath())
	if err != nil {
		return described{}, err
	}
	for _, f := range files {
		for _, decl := range f.Decls {
			general, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range general.Specs {
				typ, ok := spec.(*ast.TypeSpec)
				if !ok || typ.Name.Name != t.Name() {
					continue
				}
				d := described{text: text(typ.Doc), fields: make(map[string]string)}
				if typ.Doc == nil {
					d.text = text(general.Doc)
				}
				body, ok := typ.Type.(*ast.StructType)
				if !ok {
					return d, nil
				}
				for _, field := range body.Fields.List {
					for _, name := range field.Names {
						d.fields[name.Name] = text(field.Doc)
					}
				}
				return d, nil
			}
		}
	}
	return described{}, fmt.Errorf("%s has no type %s", t.PkgPath(), t.Name())
}

// syntax returns the Caddyfile syntax that stands above the functions which read
// a type, that of the whole first, and what the comments say beside it.
func (s *source) syntax(t reflect.Type) (blocks []string, more string, err error) {
	files, err := s.files(t.PkgPath())
	if err != nil {
		return nil, "", err
	}
	for _, f := range files {
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || receiver(fn) != t.Name() {
				continue
			}
			_, rest, found := strings.Cut(text(fn.Doc), "Syntax:\n")
			if !found {
				continue
			}
			block, after := indented(rest)
			if fn.Name.Name == "UnmarshalCaddyfile" {
				blocks, more = append([]string{block}, blocks...), after
			} else {
				blocks = append(blocks, block)
			}
		}
	}
	return blocks, more, nil
}

func receiver(fn *ast.FuncDecl) string {
	t := fn.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if name, ok := t.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

// indented parts a comment into its first indented block and what follows.
func indented(s string) (block, after string) {
	lines := strings.Split(strings.TrimLeft(s, "\n"), "\n")
	n := 0
	for n < len(lines) && (strings.HasPrefix(lines[n], "\t") || lines[n] == "") {
		n++
	}
	var b strings.Builder
	for _, l := range lines[:n] {
		b.WriteString(strings.TrimPrefix(l, "\t") + "\n")
	}
	return strings.TrimSpace(b.String()), strings.TrimSpace(strings.Join(lines[n:], "\n"))
}

func text(doc *ast.CommentGroup) string {
	if doc == nil {
		return ""
	}
	return strings.TrimSpace(doc.Text())
}

// constant is one constant of a type, with its comment.
type constant struct{ name, value, text string }

// constants returns the string constants of a package whose type, or that of the
// first of their group, is named.
func (s *source) constants(importPath, typeName string) ([]constant, error) {
	files, err := s.files(importPath)
	if err != nil {
		return nil, err
	}
	var list []constant
	for _, f := range files {
		for _, decl := range f.Decls {
			general, ok := decl.(*ast.GenDecl)
			if !ok || general.Tok != token.CONST {
				continue
			}
			for _, spec := range general.Specs {
				value := spec.(*ast.ValueSpec)
				if typ, ok := value.Type.(*ast.Ident); !ok || typ.Name != typeName {
					continue
				}
				for i, name := range value.Names {
					literal, ok := value.Values[i].(*ast.BasicLit)
					if !ok {
						return nil, fmt.Errorf("%s: %s is no plain text", importPath, name.Name)
					}
					said := text(value.Doc)
					if said == "" {
						said = text(value.Comment)
					}
					list = append(list, constant{name.Name, strings.Trim(literal.Value, `"`), said})
				}
			}
		}
	}
	return list, nil
}
