package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// The rules of the house (docs/development.md): small functions, short files,
// everything exported explained, no hidden start-up code, no panics.
const (
	longFunction    = 40 // lines that nine in ten functions stay under
	longestFunction = 60
	longestFile     = 400
)

// source is one file that is no test.
type source struct {
	path string
	set  *token.FileSet
	file *ast.File
}

func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		out = append(out, source{strings.TrimPrefix(path, "../"), set, file})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("only %d files were found: this test looks at the wrong place", len(out))
	}
	return out
}

func (s source) line(p token.Pos) int { return s.set.Position(p).Line }

func TestFunctionsAreSmall(t *testing.T) {
	all, long := 0, 0
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			all++
			lines := s.line(f.End()) - s.line(f.Pos()) + 1
			if lines >= longFunction {
				long++
			}
			if lines > longestFunction {
				t.Errorf("%s:%d: %s has %d lines, more than %d", s.path, s.line(f.Pos()), f.Name.Name, lines, longestFunction)
			}
		}
	}
	if long*10 > all {
		t.Errorf("%d of %d functions have %d lines or more: more than one in ten", long, all, longFunction)
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, s := range sources(t) {
		if lines := s.set.File(s.file.Pos()).LineCount(); lines >= longestFile {
			t.Errorf("%s has %d lines: part it below %d", s.path, lines, longestFile)
		}
	}
}

func TestPackagesSayWhatTheyAre(t *testing.T) {
	explained := map[string]bool{}
	for _, s := range sources(t) {
		dir := filepath.Dir(s.path)
		explained[dir] = explained[dir] || s.file.Doc != nil
	}
	for dir, ok := range explained {
		if !ok {
			t.Errorf("package %s has no comment that says what it is", dir)
		}
	}
}

func TestExportedNamesAreExplained(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			for _, name := range unexplained(d) {
				t.Errorf("%s:%d: %s is exported and has no comment", s.path, s.line(name.Pos()), name.Name)
			}
		}
	}
}

// unexplained gives the exported names of a declaration that has no comment.
// Methods of names that are not exported need none.
func unexplained(d ast.Decl) []*ast.Ident {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || receiverIsExported(d.Recv) && !ofTheLanguage(d.Name.Name)) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		var out []*ast.Ident
		for _, spec := range d.Specs {
			out = append(out, unexplainedSpec(spec, d.Doc != nil)...)
		}
		return out
	}
	return nil
}

func unexplainedSpec(spec ast.Spec, group bool) []*ast.Ident {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if spec.Name.IsExported() && spec.Doc == nil && !group {
			return []*ast.Ident{spec.Name}
		}
	case *ast.ValueSpec:
		if spec.Doc == nil && spec.Comment == nil && !group {
			for _, name := range spec.Names {
				if name.IsExported() {
					return []*ast.Ident{name}
				}
			}
		}
	}
	return nil
}

// ofTheLanguage says whether a method is one of an interface that every Go
// programmer knows: its comment is there.
func ofTheLanguage(method string) bool {
	switch method {
	case "Error", "Unwrap", "Is", "String":
		return true
	}
	return false
}

func receiverIsExported(r *ast.FieldList) bool {
	kind := r.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	name, ok := kind.(*ast.Ident)
	return ok && name.IsExported()
}

func TestNoPanicAndNoInit(t *testing.T) {
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "init" && n.Recv == nil {
					t.Errorf("%s:%d: func init runs unasked", s.path, s.line(n.Pos()))
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "panic" {
					t.Errorf("%s:%d: panics", s.path, s.line(n.Pos()))
				}
			}
			return true
		})
	}
}
