package lockstep_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// checkReplica holds raft.Replica to one verb and Ready to two fields of messages.
func checkReplica(h *tree) (problems []string) {
	fields := map[string]map[string]bool{}
	for _, f := range h.product() {
		if f.dir != "raft" {
			continue
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				question := d.Type.Params.NumFields() == 0 && d.Type.Results.NumFields() > 0
				if receiver(d) == "Replica" && d.Name.IsExported() && !question && !replicaVerbs[d.Name.Name] {
					problems = append(problems, f.at(d.Pos())+"A2: Replica."+d.Name.Name+" is a second verb: what happens is an Input")
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if t, ok := spec.(*ast.TypeSpec); ok {
						fields[t.Name.Name] = structFields(t)
					}
				}
			}
		}
	}
	if len(fields) == 0 {
		return problems
	}
	for _, want := range []struct{ invariant, typ, field string }{
		{"A2", "Input", "Now"}, {"A2", "Ready", "Deadline"}, {"A3", "Ready", "Messages"}, {"A3", "Ready", "AfterSave"},
	} {
		if !fields[want.typ][want.field] {
			problems = append(problems, fmt.Sprintf("%s: raft.%s has no field %s", want.invariant, want.typ, want.field))
		}
	}
	return problems
}

func structFields(t *ast.TypeSpec) map[string]bool {
	names := map[string]bool{}
	if s, ok := t.Type.(*ast.StructType); ok {
		for _, field := range s.Fields.List {
			for _, n := range field.Names {
				names[n.Name] = true
			}
		}
	}
	return names
}

// receiver is the name of the type that fn is a method of; empty for a plain function.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	typ := fn.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

func checkGo(h *tree) (problems []string) {
	used := map[string]bool{}
	for _, f := range h.files {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if _, ok := n.(*ast.GoStmt); !ok {
				return true
			}
			used[f.path] = true
			if goFiles[f.path] == "" && !listed(goRooms, f.dir) && !(f.test && listed(goTests, f.dir)) {
				problems = append(problems, f.at(n.Pos())+"A4: a go statement; start tasks with env.Env.Run")
			}
			return true
		})
	}
	for name := range goFiles {
		if h.paths[name] && !used[name] {
			problems = append(problems, "A4: "+name+" holds no go statement: take it off the list")
		}
	}
	return problems
}

func checkBlocking(h *tree) (problems []string) {
	for _, f := range h.files {
		if listed(blockingRooms, f.dir) || f.test && listed(goTests, f.dir) {
			continue
		}
		report := func(n ast.Node, what string) {
			problems = append(problems, f.at(n.Pos())+"A4: "+what+" blocks; park in an env.Waiter")
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SendStmt:
				report(n, "a send")
			case *ast.SelectStmt:
				report(n, "select")
			case *ast.UnaryExpr:
				if n.Op == token.ARROW {
					report(n, "a receive")
				}
			case *ast.ChanType:
				report(n, "a channel")
			}
			return true
		})
		for _, sel := range f.selectors("sync") {
			if n := sel.Sel.Name; n == "Cond" || n == "NewCond" || n == "WaitGroup" {
				report(sel, "sync."+n)
			}
		}
	}
	return problems
}

func checkSleeps(h *tree) (problems []string) {
	for _, f := range h.files {
		if !f.test || sleepers[f.path] != "" {
			continue
		}
		asCase := map[ast.Node]bool{} // a bound of a wait: one case of a select among others
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectStmt); ok && len(sel.Body.List) > 1 {
				for _, c := range sel.Body.List {
					if expr, ok := c.(*ast.CommClause).Comm.(*ast.ExprStmt); ok {
						if recv, ok := expr.X.(*ast.UnaryExpr); ok {
							if call, ok := recv.X.(*ast.CallExpr); ok {
								asCase[call.Fun] = true
							}
						}
					}
				}
			}
			return true
		})
		for _, sel := range f.selectors("time") {
			switch n := sel.Sel.Name; {
			case n == "Sleep", n == "Tick", n == "After" && !asCase[sel]:
				problems = append(problems, f.at(sel.Pos())+"a test does not sleep (time."+n+"): wait for a condition, with a deadline")
			}
		}
	}
	return problems
}

func checkComments(h *tree) (problems []string) {
	for _, f := range h.product() {
		if f.generated {
			continue
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				on := receiver(d)
				if d.Name.IsExported() && d.Doc == nil && (on == "" || ast.IsExported(on)) {
					problems = append(problems, f.at(d.Pos())+strings.TrimPrefix(on+"."+d.Name.Name, ".")+" is exported and has no comment")
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if name, bare := bareName(d, spec); bare {
						problems = append(problems, f.at(spec.Pos())+name+" is exported and has no comment")
					}
				}
			}
		}
	}
	return problems
}

// bareName returns an exported name of spec that nothing is said about. The comment of a group
// speaks for its constants and variables; a type needs its own.
func bareName(group *ast.GenDecl, spec ast.Spec) (string, bool) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		said := s.Doc != nil || s.Comment != nil || group.Doc != nil && len(group.Specs) == 1
		return s.Name.Name, s.Name.IsExported() && !said
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.IsExported() && group.Doc == nil && s.Doc == nil && s.Comment == nil {
				return n.Name, true
			}
		}
	}
	return "", false
}

// checkPackageComments demands a package comment of every package and, of those with more than one
// file, a doc.go of three paragraphs: purpose, nouns, promises.
func checkPackageComments(h *tree) (problems []string) {
	packages := map[string][]*source{}
	for _, f := range h.product() {
		packages[f.dir] = append(packages[f.dir], f)
	}
	for _, dir := range sortedKeys(packages) {
		doc, at := "", ""
		for _, f := range packages[dir] {
			if f.ast.Doc != nil && (at == "" || path.Base(f.path) == "doc.go") {
				doc, at = f.ast.Doc.Text(), path.Base(f.path)
			}
		}
		switch command := packages[dir][0].ast.Name.Name == "main"; {
		case doc == "":
			problems = append(problems, dir+": the package has no comment")
		case !command && len(packages[dir]) > 1 && at != "doc.go":
			problems = append(problems, dir+": the package comment stands in "+at+", not in doc.go")
		case at == "doc.go" && strings.Count(strings.TrimSpace(doc), "\n\n") < 2:
			problems = append(problems, dir+"/doc.go: three paragraphs: the purpose, the nouns, the promises")
		}
	}
	return problems
}

func checkSizes(h *tree) (problems []string) {
	for name := range longFiles {
		if h.paths[name] && strings.Count(h.texts[name], "\n") <= maxFileLines {
			problems = append(problems, name+": is short enough now: take it off longFiles")
		}
	}
	for _, f := range h.files {
		if f.generated {
			continue
		}
		if n := strings.Count(h.texts[f.path], "\n"); n > maxFileLines && longFiles[f.path] == "" {
			problems = append(problems, fmt.Sprintf("%s: %d lines; a file has at most %d: one idea each", f.path, n, maxFileLines))
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			key := f.path + ":" + strings.TrimPrefix(receiver(fn)+"."+fn.Name.Name, ".")
			switch n := f.lines(fn); {
			case n > maxFunctionLines && longFunctions[key] == "":
				problems = append(problems, fmt.Sprintf("%s%s has %d lines; a function has at most %d", f.at(fn.Pos()), fn.Name.Name, n, maxFunctionLines))
			case n <= maxFunctionLines && longFunctions[key] != "":
				problems = append(problems, key+": is short enough now: take it off longFunctions")
			}
		}
	}
	return problems
}

// lines counts the lines of fn; in tests without those of its tables, which are data.
func (f *source) lines(fn *ast.FuncDecl) int {
	span := func(n ast.Node) int {
		return f.tree.fset.Position(n.End()).Line - f.tree.fset.Position(n.Pos()).Line
	}
	n := span(fn) + 1
	ast.Inspect(fn, func(node ast.Node) bool {
		table, ok := node.(*ast.CompositeLit)
		if !ok || !f.test {
			return true
		}
		code := false
		ast.Inspect(table, func(inner ast.Node) bool {
			_, isCode := inner.(*ast.FuncLit)
			code = code || isCode
			return true
		})
		if !code {
			n -= span(table)
		}
		return code
	})
	return n
}

func checkNames(h *tree) (problems []string) {
	for _, f := range h.files {
		if listed(foreignRooms, f.dir) {
			continue
		}
		file := strings.TrimSuffix(strings.TrimSuffix(path.Base(f.path), ".go"), "_test")
		for _, word := range append(strings.Split(file, "_"), f.ast.Name.Name, path.Base(f.dir)) {
			if w := strings.ToLower(word); bannedWords[w] || bannedDrawers[w] {
				problems = append(problems, fmt.Sprintf("%s: %q in the name of a file or package: docs/GLOSSARY.md has the word for it", f.path, word))
			}
		}
		if f.generated || f.test {
			continue
		}
		for _, id := range exported(f.ast) {
			for _, word := range words(id.Name) {
				if bannedWords[word] {
					problems = append(problems, fmt.Sprintf("%s%s says %q: docs/GLOSSARY.md has the word for it", f.at(id.Pos()), id.Name, word))
				}
			}
		}
	}
	return problems
}

// exported returns the exported names that a file declares, fields and methods included.
func exported(file *ast.File) (names []*ast.Ident) {
	add := func(ids ...*ast.Ident) {
		for _, id := range ids {
			if id.IsExported() {
				names = append(names, id)
			}
		}
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			add(d.Name)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.ValueSpec:
					add(s.Names...)
				case *ast.TypeSpec:
					add(s.Name)
					ast.Inspect(s.Type, func(n ast.Node) bool {
						if field, ok := n.(*ast.Field); ok {
							add(field.Names...)
						}
						return true
					})
				}
			}
		}
	}
	return names
}

// words splits an identifier at its capitals and lowers them: "WALOptions" is wal, options.
func words(id string) (list []string) {
	runes, start := []rune(id), 0
	for i := 1; i <= len(runes); i++ {
		if i < len(runes) {
			begins := unicode.IsUpper(runes[i]) && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
			if !begins && runes[i] != '_' {
				continue
			}
		}
		list = append(list, strings.ToLower(strings.Trim(string(runes[start:i]), "_")))
		start = i
	}
	return list
}

func checkErrors(h *tree) (problems []string) {
	for _, f := range h.product() {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil && strings.HasPrefix(strings.ToLower(text), "failed to ") {
					problems = append(problems, f.at(lit.Pos())+"an error is a verb phrase and its object: drop \"failed to\"")
				}
			}
			return true
		})
	}
	return problems
}

var (
	todo      = regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)
	todoIssue = regexp.MustCompile(`\bTODO\(?:? ?#\d+`)
)

func checkTodos(h *tree) (problems []string) {
	for _, f := range h.files {
		for _, group := range f.ast.Comments {
			for _, c := range group.List {
				if todo.MatchString(c.Text) && !todoIssue.MatchString(c.Text) {
					problems = append(problems, f.at(c.Pos())+"a TODO carries the number of its issue: TODO(#12)")
				}
			}
		}
	}
	return problems
}
