package connector

import (
	"slices"
	"testing"
)

func TestKin(t *testing.T) {
	x := &memStream{resources: map[string]ResourceState{"known_1": {Parent: "known"}}}
	removed := func(id string) Resource { return Resource{ID: id, Presence: Removed} }
	read := func(id, parent string) Resource { return Resource{ID: id, Presence: Read, Parent: parent} }
	tests := map[string]struct {
		shown []Resource
		want  []string
	}{
		"without children":               {[]Resource{removed("x"), removed("y")}, nil},
		"a child is known":               {[]Resource{removed("known")}, []string{"known"}},
		"a child was shown before":       {[]Resource{read("x_1", "x"), removed("x")}, []string{"x"}},
		"a child is shown afterwards":    {[]Resource{removed("x"), read("x_1", "x")}, []string{"x"}},
		"shown again":                    {[]Resource{removed("known"), read("known", "")}, nil},
		"shown again, before its child":  {[]Resource{removed("x"), read("x", ""), read("x_1", "x")}, nil},
		"shown again and removed again":  {[]Resource{removed("known"), read("known", ""), removed("known")}, []string{"known"}},
		"several, in the order of names": {[]Resource{removed("x"), removed("known"), read("x_1", "x"), read("z_1", "z")}, []string{"known", "x"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			k := newKin(x)
			for _, res := range tt.shown {
				k.note(res)
			}
			if got := k.parents(); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
