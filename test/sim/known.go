package sim

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/calcdc/calcdc/connector"
)

// state holds what the owners of all partitions know against what was committed to the topics of the rows: both became visible
// together.
func (j *judge) state(all []owner) error {
	var errs []error
	loaded := map[connector.Stream]*connector.Checkpoint{}
	for _, o := range all {
		maps.Copy(loaded, o.loaded)
	}
	for _, s := range sorted(loaded) {
		m := j.streams[s]
		if m == nil {
			m = &mirror{}
		}
		errs = append(errs, j.checkpoint(s, loaded[s], m)...)
	}
	for s, m := range j.streams {
		if _, ok := loaded[s]; !ok && len(m.rows) > 0 && j.states == 0 {
			errs = append(errs, fmt.Errorf("%s has rows and no state", s))
		}
	}
	return errors.Join(errs...)
}

func (j *judge) checkpoint(s connector.Stream, cp *connector.Checkpoint, m *mirror) []error {
	if cp.Refused != nil {
		return []error{fmt.Errorf("%s is refused: %w", s, cp.Refused)}
	}
	if cp.Lost != nil {
		if j.states+m.topics == 0 {
			return []error{fmt.Errorf("%s is taken for lost: %w", s, cp.Lost)}
		}
		return nil
	}
	var errs []error
	if cp.State == nil || cp.State.Rows != int64(len(m.rows)) || cp.State.Epoch != m.epoch ||
		cp.State.Phase == connector.Snapshot && !m.open || cp.State.Phase == connector.Streaming && m.open && cp.State.Due == "" {
		errs = append(errs, fmt.Errorf("%s: the state says %+v; %d rows, epoch %d, open %v", s, cp.State, len(m.rows), m.epoch, m.open))
	}
	if cp.State != nil && (cp.State.Phase == connector.Removing || cp.State.Phase == connector.RemovedAll) && cp.Offset != nil {
		errs = append(errs, fmt.Errorf("%s is gone, or going, and has an offset", s))
	}
	for id, row := range m.rows {
		if body, err := cp.Index.Body(id); err != nil || !bytes.Equal(body, row.json) {
			errs = append(errs, fmt.Errorf("%s: row %s is\n%s in the state, not\n%s: %w", s, id, body, row.json, err))
		}
	}
	return append(errs, j.ahead(s, cp, m)...)
}

// ahead holds a stream's token against what was published: where a server is honest, nothing is missing that had changed when it gave
// the token. A row may be younger than the token.
func (j *judge) ahead(s connector.Stream, cp *connector.Checkpoint, m *mirror) []error {
	var a *account
	for _, b := range j.w.service.accounts {
		if b.name == s.Account {
			a = b
		}
	}
	if cp.State != nil && cp.State.Hold != nil && cp.State.Hold.Kept { // somebody wants it so
		return nil
	}
	if cp.Offset == nil || cp.Offset.Token == "" || s.Kind == connector.Calendars || a.silent || a.lies {
		return nil
	}
	shelf := a.shelfOf(s)
	if shelf == nil || shelf.wrong {
		return nil
	}
	version, ok := shelf.parse(cp.Offset.Token)
	if !ok {
		return nil
	}
	given := shelf.at(version)
	var errs []error
	for k := range a.history {
		resource, _, _ := strings.Cut(k.id, "#")
		if st, _ := cp.Index.Resource(resource); k.stream != s || st.Unknown {
			continue
		}
		if row := m.rows[k.id]; row.value != unreadable && !a.history.since(k, given, row) {
			errs = append(errs, fmt.Errorf("%s: row %s is %q in the topic, which it was no more when token %s was given at %s",
				s, k.id, row.value, cp.Offset.Token, given.UTC().Format("15:04:05.000")))
		}
	}
	return errs
}
