package caldav

import (
	"encoding/json"
	"strings"
)

// ResourceOf names the resource that a row of an events stream belongs to, as Resource.ID does, from what was published: the row's
// id in its collection and, where it was kept, its JSON.
func ResourceOf(collection, id string, row []byte) string {
	name, _, _ := strings.Cut(id, "#")
	var published struct {
		Href string `json:"href"`
	}
	_ = json.Unmarshal(row, &published) // without it the id has to do
	written := unescapeName.Replace(name)
	dir := encode(collection)
	candidates := []string{hrefOf(dir, published.Href), dir + normalise(written), dir + encode(written)}
	for _, c := range candidates {
		// A name has more than one encoding; the id says which one it came from.
		if escapeName.Replace(decode(c[strings.LastIndexByte(c, '/')+1:])) == name {
			return c
		}
	}
	return candidates[2]
}

// hrefOf is the normal form of an href as a row has it.
func hrefOf(dir, href string) string {
	if i := strings.Index(href, "://"); i > 0 && !strings.Contains(href[:i], "/") {
		_, path, _ := strings.Cut(href[i+3:], "/")
		href = "/" + path
	}
	if !strings.HasPrefix(href, "/") {
		return dir + normalise(href[strings.LastIndexByte(href, '/')+1:])
	}
	return normalise(cleanDots(href))
}

// As ids have names: see ical.Rows.
var (
	escapeName   = strings.NewReplacer("%", "%25", "#", "%23")
	unescapeName = strings.NewReplacer("%25", "%", "%23", "#")
)
