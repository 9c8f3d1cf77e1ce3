package connector

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// folded is what a consumer of the committed records holds, and how it came to be.
type folded struct {
	rows    map[string]string // summary by row id
	ops     []string          // "c x", "d x", "marker snapshot-begin 1", …
	epoch   int64
	pending string // id whose tombstone is due
}

type value struct {
	Before *struct{ ID, Summary string }
	After  *struct{ ID, Summary string }
	Op     string
	Source struct {
		Snapshot string
		Epoch    int64
	}
}

// fold reads the records of one collection's events, checking each against what came before it.
func fold(t *testing.T, log []Record, collection string) *folded {
	t.Helper()
	f := &folded{rows: map[string]string{}}
	for _, r := range log {
		var key struct{ Collection, ID string }
		if !strings.HasSuffix(r.Topic, ".events") {
			continue
		}
		if err := json.Unmarshal(r.Key, &key); err != nil {
			t.Fatal(err)
		}
		if key.Collection == collection {
			if err := f.add(key.ID, r); err != nil {
				t.Fatalf("%v\nafter %s", err, strings.Join(f.ops, "\n"))
			}
		}
	}
	return f
}

func (f *folded) add(id string, r Record) error {
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	if m := headers["calcdc.marker"]; m != "" {
		f.ops = append(f.ops, "marker "+m+" "+headers["calcdc.epoch"]+" "+headers["calcdc.reason"])
		if m == markEnd && headers["calcdc.count"] != fmt.Sprint(len(f.rows)) {
			return fmt.Errorf("the end counts %s, there are %d", headers["calcdc.count"], len(f.rows))
		}
		return nil
	}
	if r.Value == nil {
		if f.pending != id {
			return fmt.Errorf("tombstone of %q, expected %q", id, f.pending)
		}
		f.pending = ""
		return nil
	}
	if f.pending != "" {
		return fmt.Errorf("no tombstone follows the d of %q", f.pending)
	}
	var v value
	if err := json.Unmarshal(r.Value, &v); err != nil {
		return fmt.Errorf("%w in %s", err, r.Value)
	}
	f.ops = append(f.ops, v.Op+" "+id)
	return f.change(id, v)
}

func (f *folded) change(id string, v value) error {
	old, known := f.rows[id]
	if v.Source.Epoch < f.epoch {
		return fmt.Errorf("epoch %d after %d", v.Source.Epoch, f.epoch)
	}
	f.epoch = v.Source.Epoch
	switch v.Op {
	case opCreate:
		if known {
			return fmt.Errorf("c of %q, which is known", id)
		}
	case opUpdate, opDelete:
		if !known {
			return fmt.Errorf("%s of %q, which is not known", v.Op, id)
		}
		if v.Before == nil || v.Before.Summary != old {
			return fmt.Errorf("before of %q is %+v, not %q", id, v.Before, old)
		}
		if v.Op == opUpdate && v.After.Summary == old {
			return fmt.Errorf("u of %q changes nothing", id)
		}
	}
	if v.Op == opDelete {
		delete(f.rows, id)
		f.pending = id
		return nil
	}
	f.rows[id] = v.After.Summary
	return nil
}
