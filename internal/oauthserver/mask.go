package oauthserver

import (
	"fmt"
	"strings"
)

// mask keeps of an answer what fields selects: names with commas between, those below in parentheses.
// "" and * select everything; paths with a slash are refused. (Partial responses, developers.google.com/workspace/admin/directory.)
func mask(body any, fields string) (any, error) {
	if fields == "" || fields == "*" {
		return body, nil
	}
	tree, rest, err := parseMask(fields, 0)
	if err != nil || rest != "" {
		return nil, fmt.Errorf("%s", fields)
	}
	return tree.apply(body), nil
}

// selection is what is kept of an object; nil: everything.
type selection map[string]selection

// parseMask reads a list up to its closing parenthesis, or the end.
func parseMask(text string, depth int) (selection, string, error) {
	kept := selection{}
	for depth < 16 {
		end := strings.IndexAny(text+",", ",()/")
		name := text[:end]
		text = text[end:]
		if name == "" {
			return nil, "", fmt.Errorf("an empty name")
		}
		kept[name] = nil
		switch {
		case strings.HasPrefix(text, "("):
			below, rest, err := parseMask(text[1:], depth+1)
			if err != nil || !strings.HasPrefix(rest, ")") {
				return nil, "", fmt.Errorf("no end of (")
			}
			kept[name], text = below, rest[1:]
		case strings.HasPrefix(text, "/"):
			return nil, "", fmt.Errorf("paths are not served")
		}
		if !strings.HasPrefix(text, ",") {
			return kept, text, nil
		}
		text = text[1:]
	}
	return nil, "", fmt.Errorf("too deep")
}

// apply keeps of a value what is selected.
func (s selection) apply(value any) any {
	if s == nil {
		return value
	}
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, below := range s {
			if inner, has := v[name]; has {
				out[name] = below.apply(inner)
			}
		}
		return out
	case []any:
		var out []any
		for _, item := range v {
			out = append(out, s.apply(item))
		}
		return out
	}
	return value
}
