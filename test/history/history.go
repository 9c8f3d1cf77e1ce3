// Package history makes seeded random changes to calendars over plain HTTP, as any client would.
package history

import (
	"context"
	"encoding/xml"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/calcdc/calcdc/test/oracle"
)

// History is a run of changes to one user's calendars. The same seed makes the same run.
type History struct {
	// Log tells what was done, one line a step.
	Log []string
	// OddNames are formats of resource names with reserved and non-ASCII characters, as far as the server takes them.
	OddNames []string
	// Once keeps a deleted collection from coming back under its path.
	Once bool
	// Most, where not 0, is how many resources there are at most.
	Most int
	// Deleted are the paths of the collections that were deleted, also where they came back.
	Deleted map[string]bool

	server *oracle.Server
	rng    *rand.Rand
	made   int                             // names given so far
	colls  map[string]map[string]*resource // by path of the collection, by name
	past   map[string][]string             // names that were deleted, to come back
}

// resource is an event or to-do as last written.
type resource struct {
	uid       string
	kind      string // VEVENT, VTODO
	summary   string
	sequence  int
	repeats   bool
	allDay    bool
	overrides map[int]string // summaries by day
}

// New begins a history on a server.
func New(server *oracle.Server, seed uint64) *History {
	return &History{
		server: server, rng: rand.New(rand.NewPCG(seed, 0xca1cdc)),
		colls: map[string]map[string]*resource{}, past: map[string][]string{}, Deleted: map[string]bool{},
	}
}

// Collections are the paths of those that the history has made and not deleted.
func (h *History) Collections() []string { return slices.Sorted(maps.Keys(h.colls)) }

// Resources counts what the history left in its collections.
func (h *History) Resources() int {
	n := 0
	for _, c := range h.colls {
		n += len(c)
	}
	return n
}

// Steps does n random changes.
func (h *History) Steps(ctx context.Context, n int) error {
	for range n {
		if err := h.step(ctx); err != nil {
			return fmt.Errorf("after %d steps: %w", len(h.Log), err)
		}
	}
	return nil
}

// step chooses: mostly changes of resources, now and then of collections.
func (h *History) step(ctx context.Context) error {
	switch p := h.rng.IntN(100); {
	case len(h.colls) == 0 || p < 3 && len(h.colls) < 5:
		_, err := h.NewCollection(ctx)
		return err
	case p < 5 && len(h.colls) > 1:
		return h.DeleteCollection(ctx, h.pick(h.Collections()))
	case p < 9:
		return h.Rename(ctx, h.pick(h.Collections()))
	case p < 45 && (h.Most == 0 || h.Resources() < h.Most):
		return h.Create(ctx, h.pick(h.Collections()))
	case p < 85:
		return h.Change(ctx, h.pick(h.Collections()))
	default:
		return h.Delete(ctx, h.pick(h.Collections()))
	}
}

func (h *History) pick(from []string) string { return from[h.rng.IntN(len(from))] }

func (h *History) note(format string, args ...any) {
	h.Log = append(h.Log, fmt.Sprintf(format, args...))
}

// do sends a request and demands one of the statuses.
func (h *History) do(ctx context.Context, method, path string, header map[string]string, body string, statuses ...int) error {
	status, answer, err := h.server.Do(ctx, method, escape(path), header, body)
	if err != nil {
		return err
	}
	if !slices.Contains(statuses, status) {
		return fmt.Errorf("%s %s: status %d: %.300s", method, path, status, answer)
	}
	return nil
}

func escape(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

// NewCollection makes a calendar and returns its path.
func (h *History) NewCollection(ctx context.Context) (string, error) {
	h.made++
	path := fmt.Sprintf("%scal%d/", h.server.Home, h.made)
	if !h.Once && h.rng.IntN(3) == 0 { // one that was deleted may come back
		if gone := h.past[""]; len(gone) > 0 {
			path = gone[len(gone)-1]
			h.past[""] = gone[:len(gone)-1]
		}
	}
	return path, h.Remake(ctx, path)
}

// Remake makes the calendar of a path that has none.
func (h *History) Remake(ctx context.Context, path string) error {
	h.note("MKCALENDAR %s", path)
	if err := h.do(ctx, "MKCALENDAR", path, nil, "", http.StatusCreated); err != nil {
		return err
	}
	h.colls[path] = map[string]*resource{}
	return h.Rename(ctx, path)
}

// DeleteCollection deletes a calendar with what is in it.
func (h *History) DeleteCollection(ctx context.Context, path string) error {
	h.note("DELETE %s", path)
	h.Deleted[path] = true
	delete(h.colls, path)
	delete(h.past, path)
	h.past[""] = append(h.past[""], path)
	return h.do(ctx, http.MethodDelete, path, nil, "", http.StatusOK, http.StatusNoContent)
}

// Rename gives a calendar another display name.
func (h *History) Rename(ctx context.Context, path string) error {
	name := fmt.Sprintf("%s %d & so", h.pick([]string{"Work", "Büro", "Home"}), h.rng.IntN(1000))
	var text strings.Builder
	if err := xml.EscapeText(&text, []byte(name)); err != nil {
		return err
	}
	h.note("rename %s to %s", path, name)
	body := `<?xml version="1.0" encoding="utf-8"?><propertyupdate xmlns="DAV:"><set><prop><displayname>` +
		text.String() + `</displayname></prop></set></propertyupdate>`
	header := map[string]string{"Content-Type": "application/xml; charset=utf-8"}
	return h.do(ctx, "PROPPATCH", path, header, body, http.StatusOK, http.StatusMultiStatus)
}

// Create puts a new resource, or one that had been deleted, into a collection.
func (h *History) Create(ctx context.Context, path string) error {
	h.made++
	name := fmt.Sprintf("e%d.ics", h.made)
	if len(h.OddNames) > 0 && h.rng.IntN(4) == 0 {
		name = fmt.Sprintf(h.pick(h.OddNames), h.made)
	}
	if gone := h.past[path]; len(gone) > 0 && h.rng.IntN(3) == 0 {
		name, h.past[path] = gone[len(gone)-1], gone[:len(gone)-1]
	}
	r := &resource{uid: fmt.Sprintf("u%d@test", h.made), kind: "VEVENT", overrides: map[int]string{}}
	r.summary = h.words()
	switch h.rng.IntN(6) {
	case 0:
		r.kind = "VTODO"
	case 1:
		r.allDay = true
	case 2, 3:
		r.repeats = true
		r.allDay = h.rng.IntN(3) == 0
		if h.rng.IntN(2) == 0 {
			r.overrides[1+h.rng.IntN(5)] = h.words()
		}
	}
	h.colls[path][name] = r
	return h.put(ctx, path, name, r)
}

// Change changes a resource of the collection: its text, its overrides, or nothing at all.
func (h *History) Change(ctx context.Context, path string) error {
	names := slices.Sorted(maps.Keys(h.colls[path]))
	if len(names) == 0 {
		return h.Create(ctx, path)
	}
	name := h.pick(names)
	r := h.colls[path][name]
	day := 1 + h.rng.IntN(5)
	_, overridden := r.overrides[day]
	switch p := h.rng.IntN(10); {
	case p == 0: // the same bytes again
	case r.repeats && p < 4:
		r.overrides[day] = h.words()
	case r.repeats && p < 7 && overridden:
		delete(r.overrides, day)
	default:
		r.summary, r.sequence = h.words(), r.sequence+1
	}
	return h.put(ctx, path, name, r)
}

// Delete deletes a resource of the collection.
func (h *History) Delete(ctx context.Context, path string) error {
	names := slices.Sorted(maps.Keys(h.colls[path]))
	if len(names) == 0 {
		return h.Create(ctx, path)
	}
	name := h.pick(names)
	h.note("DELETE %s%s", path, name)
	delete(h.colls[path], name)
	h.past[path] = append(h.past[path], name)
	return h.do(ctx, http.MethodDelete, path+name, nil, "", http.StatusOK, http.StatusNoContent)
}

func (h *History) words() string {
	return fmt.Sprintf("%s %d", h.pick([]string{"Planning", "Mittag, Kantine", "Ünïcode 日本", "Review <a> & b", "Dentist"}), h.rng.IntN(100000))
}

func (h *History) put(ctx context.Context, path, name string, r *resource) error {
	h.note("PUT %s%s %s", path, name, r.summary)
	header := map[string]string{"Content-Type": "text/calendar; charset=utf-8"}
	return h.do(ctx, http.MethodPut, path+name, header, r.text(), http.StatusOK, http.StatusCreated, http.StatusNoContent)
}
