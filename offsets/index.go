package offsets

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/calcdc/calcdc/connector"
)

// index is what is committed of a stream's resources and rows.
type index interface {
	connector.Index
	// rowIDs runs over the ids of all rows.
	rowIDs() iter.Seq[string]
	// counts is how many resources and rows there are.
	counts() (resources, rows int64)
	// setResource puts or, with an empty value, removes what is known of a resource. r is what the value says. added says that there
	// was nothing of it.
	setResource(w *writing, id, value string, r *connector.ResourceState) (added bool, err error)
	// setRow puts or, with an empty value, removes what is known of a row.
	setRow(w *writing, id, value string) error
}

// memory is an index in memory, in the very form of the state's values: a string of each, compressed, so that 50,000 rows with
// their bodies take less than 50 MB.
type memory struct {
	mu        sync.RWMutex
	resources map[string]string              // by id
	rows      map[string]string              // by id
	children  map[string]map[string]struct{} // ids of resources by their parent's
	unread    map[string]struct{}            // ids of resources whose version is unknown
}

func newMemory() *memory {
	return &memory{resources: map[string]string{}, rows: map[string]string{}, children: map[string]map[string]struct{}{}, unread: map[string]struct{}{}}
}

// Resource implements connector.Index.
func (x *memory) Resource(id string) (connector.ResourceState, bool) {
	x.mu.RLock()
	value, ok := x.resources[id]
	x.mu.RUnlock()
	if !ok {
		return connector.ResourceState{}, false
	}
	r, err := parseResource(id, value)
	return r, err == nil // nothing enters that does not parse
}

// Row implements connector.Index.
func (x *memory) Row(id string) (connector.Hash, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	value, ok := x.rows[id]
	if !ok {
		return connector.Hash{}, false
	}
	return rowHash(value), true
}

// Body implements connector.Index.
func (x *memory) Body(id string) ([]byte, error) {
	x.mu.RLock()
	value, ok := x.rows[id]
	x.mu.RUnlock()
	if !ok {
		return nil, nil
	}
	body, err := parseBody([]byte(value[rowHead-1:]))
	if err != nil {
		return nil, fmt.Errorf("decompressing row %s: %w", id, err)
	}
	return body, nil
}

// Resources implements connector.Index. No lock is held while the caller has a resource.
func (x *memory) Resources() iter.Seq2[string, connector.ResourceState] {
	return func(yield func(string, connector.ResourceState) bool) {
		x.mu.RLock()
		ids := make([]string, 0, len(x.resources))
		for id := range x.resources {
			ids = append(ids, id)
		}
		x.mu.RUnlock()
		slices.Sort(ids)
		for id := range slices.Values(ids) {
			if r, ok := x.Resource(id); ok && !yield(id, r) {
				return
			}
		}
	}
}

// Unread implements connector.Index.
func (x *memory) Unread() []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Sorted(maps.Keys(x.unread))
}

// Children implements connector.Index.
func (x *memory) Children(parent string) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Sorted(maps.Keys(x.children[parent]))
}

func (x *memory) setResource(_ *writing, id, value string, r *connector.ResourceState) (added bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	parent := r.Parent
	if was := parentIn(id, x.resources[id]); was != "" && was != parent {
		delete(x.children[was], id)
		if len(x.children[was]) == 0 {
			delete(x.children, was)
		}
	}
	if parent != "" {
		if x.children[parent] == nil {
			x.children[parent] = map[string]struct{}{}
		}
		x.children[parent][id] = struct{}{}
	}
	if r.Unknown {
		x.unread[id] = struct{}{}
	} else {
		delete(x.unread, id)
	}
	return put(x.resources, id, value), nil
}

// parentIn is the parent in a resource's value, "" where it has none or there is no value.
func parentIn(id, value string) string {
	if len(value) < 2 || value[1]&flagParent == 0 {
		return ""
	}
	r, err := parseResource(id, value)
	if err != nil {
		return ""
	}
	return r.Parent
}

func (x *memory) setRow(_ *writing, id, value string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	put(x.rows, id, value)
	return nil
}

// put sets or, with an empty value, removes a value. added says that there was none.
func put(values map[string]string, id, value string) (added bool) {
	if value == "" {
		delete(values, id)
		return false
	}
	n := len(values)
	values[id] = value
	return len(values) > n
}

func (x *memory) rowIDs() iter.Seq[string] {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Values(slices.Collect(maps.Keys(x.rows)))
}

func (x *memory) counts() (resources, rows int64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return int64(len(x.resources)), int64(len(x.rows))
}
