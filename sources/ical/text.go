package ical

import "strings"

// text undoes the escapes of a TEXT value (RFC 5545 3.3.11). A backslash before anything else stands as it is.
// Control characters other than tab and newline are left out: they mean nothing, and databases refuse NUL.
func text(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return clean(s)
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		switch c := s[i]; c {
		case 'n', 'N':
			b = append(b, '\n')
		case '\\', ';', ',':
			b = append(b, c)
		default:
			b = append(b, '\\', c)
		}
	}
	return clean(string(b))
}

// clean leaves out control characters other than tab and newline.
func clean(s string) string {
	for i := 0; i < len(s); i++ {
		if control(rune(s[i])) {
			return strings.Map(func(r rune) rune {
				if control(r) {
					return -1
				}
				return r
			}, s)
		}
	}
	return s
}

func control(r rune) bool { return r < ' ' && r != '\t' && r != '\n' || r == 0x7F }

// appendList appends the values of a comma-separated TEXT list.
func appendList(list []string, s string) []string {
	start := 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s) || s[i] == ',':
			if v := strings.TrimSpace(text(s[start:i])); v != "" {
				list = append(list, v)
			}
			start = i + 1
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
	}
	return list
}

// word is an enumerated value in Google's words: lower case but for needsAction, and cancelled with two l.
func word(s string) string {
	switch s = strings.ToLower(clean(s)); s {
	case "needs-action":
		return "needsAction"
	case "canceled":
		return "cancelled"
	}
	return s
}
