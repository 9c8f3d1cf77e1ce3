package config

import "strings"

// Collections chooses collections by globs on their id or display name, in which * stands for anything, / too.
type Collections struct {
	Include []string `yaml:"include" doc:"Followed are those that one of these matches…"`
	Exclude []string `yaml:"exclude" doc:"…and none of these does."`
}

// Follow says whether the collection is to be followed.
func (c Collections) Follow(id, displayName string) bool {
	return matchesAny(c.Include, id, displayName) && !matchesAny(c.Exclude, id, displayName)
}

func matchesAny(globs []string, names ...string) bool {
	for _, g := range globs {
		for _, n := range names {
			if matches(g, n) {
				return true
			}
		}
	}
	return false
}

// matches takes time linear in the product of the lengths at worst: the text between two stars is looked for once.
func matches(glob, name string) bool {
	first, rest, star := strings.Cut(glob, "*")
	if !star {
		return glob == name
	}
	if !strings.HasPrefix(name, first) {
		return false
	}
	name = name[len(first):]
	parts := strings.Split(rest, "*")
	last := parts[len(parts)-1]
	for _, p := range parts[:len(parts)-1] {
		i := strings.Index(name, p)
		if i < 0 {
			return false
		}
		name = name[i+len(p):]
	}
	return strings.HasSuffix(name, last)
}
