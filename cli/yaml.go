package cli

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// yamlFile is a file of settings, for errors that point into it.
type yamlFile struct {
	name  string
	lines []string
}

// read takes settings from a file, but for those that are given already. It is strict: an unknown
// name, a doubled one or a value of another kind is refused with its place.
func (s *settings) read(name string, given []string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return usage(fmt.Errorf("read options: %w", err))
	}
	f := &yamlFile{name, strings.Split(string(b), "\n")}
	parsed, err := parser.ParseBytes(b, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var syntax *yaml.SyntaxError
		if errors.As(err, &syntax) && syntax.Token != nil {
			return f.at(syntax.Token, 1, syntax.Message)
		}
		return usage(fmt.Errorf("%s: %w", name, err))
	}
	seen := map[string]bool{}
	for _, doc := range parsed.Docs {
		if doc.Body == nil {
			continue
		}
		pairs, err := f.pairs(doc.Body)
		if err != nil {
			return err
		}
		for _, pair := range pairs {
			key := pair.Key.GetToken()
			if seen[key.Value] {
				return f.at(key, len(key.Value), fmt.Sprintf("option %q is given twice", key.Value))
			}
			seen[key.Value] = true
			if err := s.set(f, pair, given); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *yamlFile) pairs(n ast.Node) ([]*ast.MappingValueNode, error) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, nil
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, nil
	case *ast.CommentGroupNode, *ast.NullNode:
		return nil, nil
	}
	return nil, f.at(n.GetToken(), 1, "the file holds options, one per line: heartbeat: 50ms")
}

func (s *settings) set(f *yamlFile, pair *ast.MappingValueNode, given []string) error {
	key := pair.Key.GetToken()
	takes, known := s.takes[key.Value]
	if !known {
		text := fmt.Sprintf("unknown option %q", key.Value)
		if near := nearest(key.Value, slices.Sorted(maps.Keys(s.takes))); near != "" {
			text += fmt.Sprintf("; did you mean %q? It takes %s", near, s.takes[near])
		}
		return f.at(key, len(key.Value), text)
	}
	text, at, ok := scalar(pair.Value)
	flag := s.command.Flags().Lookup(strings.ReplaceAll(key.Value, "_", "-"))
	if slices.Contains(given, flag.Name) {
		return nil
	}
	if !ok || flag.Value.Set(text) != nil {
		return f.at(at, len(at.Value), fmt.Sprintf("option %q has a value of another kind. It takes %s", key.Value, takes))
	}
	return nil
}

// scalar is the text of a value; of a list, the texts of its members with commas between.
func scalar(n ast.Node) (text string, at *token.Token, ok bool) {
	at = n.GetToken()
	switch v := n.(type) {
	case *ast.SequenceNode:
		var all []string
		for _, e := range v.Values {
			one, where, ok := scalar(e)
			if _, nested := e.(*ast.SequenceNode); nested || !ok {
				return "", where, false
			}
			all = append(all, one)
		}
		return strings.Join(all, ","), at, true
	case *ast.StringNode:
		return v.Value, at, true
	case *ast.IntegerNode, *ast.BoolNode, *ast.FloatNode:
		return at.Value, at, true
	}
	return "", at, false
}

// at is an error with file, line, column, the line itself and carets under what is wrong.
func (f *yamlFile) at(t *token.Token, width int, text string) error {
	line, column := t.Position.Line, t.Position.Column
	source := ""
	if line >= 1 && line <= len(f.lines) {
		source = strings.TrimRight(f.lines[line-1], "\r")
	}
	column = max(1, min(column, len(source)+1))
	width = max(1, min(width, len(source)-column+1))
	return usage(fmt.Errorf("%s:%d:%d: %s\n%8d | %s\n         | %s%s", f.name, line, column, text,
		line, source, strings.Repeat(" ", column-1), strings.Repeat("^", width)))
}

// nearest is the name that a person may have meant; empty if none is near.
func nearest(word string, names []string) string {
	best, least := "", min(4, len(word)/2+1)
	for _, n := range names {
		d := distance(word, n)
		if strings.HasPrefix(word, n) || strings.HasPrefix(n, word) {
			d = min(d, 1)
		}
		if d < least {
			best, least = n, d
		}
	}
	return best
}

// distance counts the letters to insert, delete or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost++
			}
			last = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
