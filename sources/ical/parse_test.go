package ical

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	goical "github.com/emersion/go-ical"
)

// TestParseAgreesWithGoICal reads well-formed texts with go-ical's decoder too.
func TestParseAgreesWithGoICal(t *testing.T) {
	bodies := map[string][]byte{"typical": typical(), "series": series(30)}
	for _, name := range []string{"all_day", "conference", "durations", "fold_in_utf8", "gap_and_fold", "override_ids", "series", "single", "todo", "vtimezone"} {
		body, err := os.ReadFile("testdata/" + name + ".ics")
		if err != nil {
			t.Fatal(err)
		}
		bodies[name] = body
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			want, err := goical.NewDecoder(bytes.NewReader(body)).Decode()
			if err != nil {
				t.Fatal(err)
			}
			got := parse(string(body), []string{"VEVENT", "VTODO"})
			if !got.notes.empty() {
				t.Errorf("notes: %s", got.notes.String())
			}
			i := 0
			for _, c := range want.Children {
				if c.Name == "VEVENT" || c.Name == "VTODO" {
					compareProps(t, c.Props, got.components[i].props)
					i++
				}
			}
			if i == 0 || i != len(got.components) {
				t.Errorf("%d components, go-ical reads %d", len(got.components), i)
			}
		})
	}
}

// compareProps compares the properties of a component, in the text's order within each name.
func compareProps(t *testing.T, want goical.Props, got []property) {
	t.Helper()
	seen := map[string]int{}
	for _, p := range got {
		all := want[p.name]
		i := seen[p.name]
		if seen[p.name]++; i >= len(all) {
			t.Errorf("line %d: go-ical has no such %s", p.number, p.name)
			continue
		}
		if p.value != all[i].Value || len(p.params) != len(all[i].Params) {
			t.Errorf("line %d: %q has %d parameters and the value %q, go-ical reads %v", p.number, p.line, len(p.params), p.value, all[i])
		}
		for _, one := range p.params {
			if joined := strings.Join(all[i].Params[one.name], ","); one.value != joined {
				t.Errorf("line %d: %s is %q, go-ical reads %q", p.number, one.name, one.value, joined)
			}
		}
	}
	for name, all := range want {
		if seen[name] != len(all) {
			t.Errorf("%d %s, go-ical reads %d", seen[name], name, len(all))
		}
	}
}

func TestSplit(t *testing.T) {
	tests := []struct {
		line   string
		name   string
		params string // NAME=value, joined with |
		value  string
		fault  string
	}{
		{"SUMMARY:a:b;c", "SUMMARY", "", "a:b;c", ""},
		{"summary:x", "SUMMARY", "", "x", ""},
		{"X-A;b=1;C=2,3:v", "X-A", "B=1|C=2,3", "v", ""},
		{`X-A;B="1:2;3,4",5,"6":v`, "X-A", "B=1:2;3,4,5,6", "v", ""},
		{`X-A;B=1;B="2":v`, "X-A", "B=1,2", "v", ""},
		{"X-A;B=^'a^'^n^^n:v", "X-A", "B=\"a\"\n^n", "v", ""},
		{"X-A;B=:", "X-A", "B=", "", ""},
		{`X-A;B=a"b:v`, "X-A", `B=a"b`, "v", ""},
		{"X-A", "", "", "", "no colon"},
		{":v", "", "", "", `not a property name: ""`},
		{"X A:v", "", "", "", `not a property name: "X A"`},
		{"X-A;B:v", "", "", "", "X-A: a parameter without ="},
		{"X-A;=1:v", "", "", "", `X-A: not a parameter name: ""`},
		{`X-A;B="1:v`, "", "", "", "X-A: a quoted parameter value without its end"},
		{`X-A;B="1"`, "", "", "", "X-A: no colon after the parameters"},
		{"X-A;B=1", "", "", "", "X-A: no colon after the parameters"},
		{"X-A;", "", "", "", "X-A: a parameter without ="},
	}
	for _, tt := range tests {
		p, _, why := split(tt.line, nil)
		var params []string
		for _, one := range p.params {
			params = append(params, one.name+"="+one.value)
		}
		if p.name != tt.name || strings.Join(params, "|") != tt.params || p.value != tt.value || string(why) != tt.fault {
			t.Errorf("%q: got %q %q %q %q", tt.line, p.name, params, p.value, why)
		}
	}
}

func TestLines(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
		numbers    []int
	}{
		{"CRLF", "a\r\nb\r\n", []string{"a", "b"}, []int{1, 2}},
		{"LF", "a\nb", []string{"a", "b"}, []int{1, 2}},
		{"CR", "a\rb\r c\r", []string{"a", "bc"}, []int{1, 2}},
		{"CR within", "a\rb\r\nc", []string{"a\rb", "c"}, []int{1, 2}},
		{"two CRs", "a\r\r\n b\r\r\n", []string{"ab"}, []int{1}},
		{"folds", "a\r\n b\n\t c\r\nd", []string{"ab c", "d"}, []int{1, 4}},
		{"blank lines", "\r\na\r\n\r\n\r\nb", []string{"a", "b"}, []int{2, 5}},
		{"BOM", "\uFEFFa\r\n", []string{"a"}, []int{1}},
		{"fold in UTF-8", "a\xc3\r\n \xbc", []string{"aü"}, []int{1}},
		{"latin1", "a\xfc\r\nb", []string{"aü", "b"}, []int{1, 2}},
		{"windows-1252", "\x80\r\n", []string{"€"}, []int{1}},
		{"empty", "", nil, nil},
	}
	for _, tt := range tests {
		var got []string
		var numbers []int
		for l := newLines(tt.text); l.next(); {
			got, numbers = append(got, l.line), append(numbers, l.number)
		}
		if !slices.Equal(got, tt.want) || !slices.Equal(numbers, tt.numbers) {
			t.Errorf("%s: got %q at %d, want %q at %d", tt.name, got, numbers, tt.want, tt.numbers)
		}
	}
}
