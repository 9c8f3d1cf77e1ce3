package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What a file may hold. Beyond, it is no configuration but an accident or an attack.
const (
	maxFile  = 1 << 20
	maxDepth = 32
	maxNodes = 100_000 // aliases counted as often as they are used
	maxToken = 100_000 // the parser's time grows with the square of a map's keys
)

type nodeKind int

const (
	nullNode nodeKind = iota
	textNode          // any scalar but null
	listNode
	mapNode
)

// node is YAML without its syntax: aliases resolved, scalars as they are written.
type node struct {
	kind  nodeKind
	line  int
	text  string
	str   bool // a YAML string: references in it are replaced
	items []*node
	keys  []mapKey
}

type mapKey struct {
	name  string
	line  int
	value *node
}

// parse reads one YAML document. The errors never quote the document: a password may stand there.
func parse(data []byte) (*node, *Fault) {
	if len(data) > maxFile {
		return nil, &Fault{Message: fmt.Sprintf("is %d bytes long; at most %d are read", len(data), maxFile)}
	}
	tokens := lexer.Tokenize(string(data))
	if f := tooDeep(tokens); f != nil {
		return nil, f
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxFault(err)
	}
	c := converter{anchors: map[string]*node{}}
	root := &node{}
	for i, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if i > 0 {
			return nil, &Fault{Line: lineOf(doc.Body), Message: "a second YAML document begins; keep one"}
		}
		root = c.convert(doc.Body, 0)
	}
	return root, c.fault
}

// tooDeep guards the parser, which recurses. It counts open brackets, and what can nest within one line.
func tooDeep(tokens token.Tokens) *Fault {
	if len(tokens) > maxToken {
		return &Fault{Message: fmt.Sprintf("has more than %d words and signs", maxToken)}
	}
	open, line, inLine := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, inLine = t.Position.Line, 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			open++
		case token.SequenceEndType, token.MappingEndType:
			open--
		case token.SequenceEntryType, token.MappingKeyType, token.TagType, token.AnchorType:
			inLine++
		default:
		}
		if open > maxDepth || inLine > maxDepth {
			return &Fault{Line: line, Message: fmt.Sprintf("is nested more than %d deep", maxDepth)}
		}
	}
	return nil
}

func syntaxFault(err error) *Fault {
	var se yaml.Error
	if !errors.As(err, &se) || se.GetToken() == nil {
		return &Fault{Message: "is not YAML"}
	}
	return &Fault{Line: se.GetToken().Position.Line, Message: "is not YAML: " + se.GetMessage()}
}

// converter turns the parser's nodes to ours. It keeps the first fault and goes on.
type converter struct {
	anchors map[string]*node
	nodes   int
	fault   *Fault
}

func (c *converter) fail(n ast.Node, message string) *node {
	if c.fault == nil {
		c.fault = &Fault{Line: lineOf(n), Message: message}
	}
	return &node{line: lineOf(n)}
}

func (c *converter) convert(n ast.Node, depth int) *node {
	c.nodes++
	if depth > maxDepth {
		return c.fail(n, fmt.Sprintf("is nested more than %d deep", maxDepth))
	}
	if c.nodes > maxNodes {
		return c.fail(n, fmt.Sprintf("has more than %d entries, aliases counted as often as they are used", maxNodes))
	}
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return &node{line: lineOf(n)}
	case *ast.StringNode:
		return &node{kind: textNode, str: true, line: lineOf(n), text: n.Value}
	case *ast.LiteralNode:
		return &node{kind: textNode, str: true, line: lineOf(n), text: n.Value.Value}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return &node{kind: textNode, line: lineOf(n), text: strings.TrimSpace(n.GetToken().Value)}
	case *ast.SequenceNode:
		return c.list(n, depth)
	case *ast.MappingNode:
		return c.mapping(n, n.Values, depth)
	case *ast.MappingValueNode:
		return c.mapping(n, []*ast.MappingValueNode{n}, depth)
	case *ast.AnchorNode:
		v := c.convert(n.Value, depth+1)
		c.anchors[n.Name.GetToken().Value] = v
		return v
	case *ast.AliasNode:
		return c.alias(n)
	default:
		return c.fail(n, "tags and other YAML beyond scalars, lists and maps have no place here")
	}
}

func (c *converter) list(n *ast.SequenceNode, depth int) *node {
	out := &node{kind: listNode, line: lineOf(n)}
	for _, v := range n.Values {
		out.items = append(out.items, c.convert(v, depth+1))
	}
	return out
}

func (c *converter) mapping(at ast.Node, values []*ast.MappingValueNode, depth int) *node {
	if text, ok := unsplit(at, values); ok {
		return &node{kind: textNode, str: true, line: lineOf(at), text: text}
	}
	out := &node{kind: mapNode, line: lineOf(at)}
	for _, v := range values {
		key, ok := v.Key.(ast.ScalarNode)
		if !ok {
			c.fail(v, "a key is a plain word (merge keys and others are not supported)")
			continue
		}
		name := key.GetToken().Value
		out.keys = append(out.keys, mapKey{name: name, line: lineOf(v.Key), value: c.convert(v.Value, depth+1)})
	}
	return out
}

// unsplit mends what the scanner does in [127.0.0.1:9092] where the list itself is in braces: a colon that no space
// follows is part of a plain word (YAML 1.2, 7.3.3).
func unsplit(at ast.Node, values []*ast.MappingValueNode) (string, bool) {
	if m, braces := at.(*ast.MappingNode); len(values) != 1 || braces && m.Start.Type == token.MappingStartType {
		return "", false
	}
	n := values[0]
	value, ok := n.Value.(ast.ScalarNode)
	key := n.Key.GetToken()
	if !ok || key == nil || !plain(key) || !plain(value.GetToken()) {
		return "", false
	}
	colon, word := n.Start.Position, value.GetToken().Position
	if word.Line != colon.Line || word.Offset != colon.Offset+1 {
		return "", false
	}
	return key.Value + ":" + value.GetToken().Value, true
}

func plain(t *token.Token) bool {
	return t.Type != token.SingleQuoteType && t.Type != token.DoubleQuoteType && t.Type != token.NullType
}

// alias counts what it stands for once more, so that aliases of aliases stay bounded.
func (c *converter) alias(n *ast.AliasNode) *node {
	target, ok := c.anchors[n.Value.GetToken().Value]
	if !ok {
		return c.fail(n, "an alias stands before its anchor")
	}
	if c.nodes += target.size(maxNodes); c.nodes > maxNodes {
		return c.fail(n, fmt.Sprintf("has more than %d entries, aliases counted as often as they are used", maxNodes))
	}
	return target
}

// size counts nodes up to limit.
func (n *node) size(limit int) int {
	total := 1
	for _, v := range n.items {
		if total < limit {
			total += v.size(limit - total)
		}
	}
	for _, k := range n.keys {
		if total < limit {
			total += k.value.size(limit - total)
		}
	}
	return total
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil {
		return 0
	}
	return n.GetToken().Position.Line
}
