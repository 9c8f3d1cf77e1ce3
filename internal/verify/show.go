package verify

import (
	"context"
	"fmt"

	"github.com/calcdc/calcdc/connector"
)

// show reads the topics once more for what differs, and reports it by row and field. What is beyond the limit is counted: of rows that
// are held first.
func (r *run) show(ctx context.Context) error {
	if err := r.holds(ctx); err != nil {
		return err
	}
	left := max(0, r.cfg.Limit-len(r.report.Differences))
	room := limits{others: left, held: max(0, left-r.differing())}
	for _, b := range r.batches {
		r.report.Total += b.trim(&room)
		bodies, err := r.bodies(ctx, b)
		if err != nil {
			return err
		}
		for s, verdicts := range b.verdicts {
			for id, d := range verdicts {
				r.tellOf(ctx, b, s, d, bodies[s][id])
			}
		}
	}
	return nil
}

// differing counts what differs and is not held.
func (r *run) differing() (n int) {
	for _, b := range r.batches {
		for _, verdicts := range b.verdicts {
			for _, d := range verdicts {
				if !d.held {
					n++
				}
			}
		}
	}
	return n
}

// limits is how many verdicts may yet be shown.
type limits struct{ others, held int }

// trim leaves at most as many verdicts, and returns how many there are beyond.
func (b *batch) trim(room *limits) (over int64) {
	for s, verdicts := range b.verdicts {
		for id, d := range verdicts {
			left := &room.others
			if d.held {
				left = &room.held
			}
			if *left == 0 {
				over++
				delete(verdicts, id)
				continue
			}
			*left--
		}
		if len(verdicts) == 0 {
			delete(b.verdicts, s)
		}
	}
	return over
}

// found is a row that differs as the topic has it.
type found struct {
	id   string
	body []byte
}

// bodies reads the rows that differ out of a partition.
func (r *run) bodies(ctx context.Context, b *batch) (map[Stream]map[connector.Hash]found, error) {
	all := map[Stream]map[connector.Hash]found{}
	if len(b.verdicts) == 0 || b.topic == "" {
		return all, nil
	}
	r.say("reading %s, partition %d, for what differs …", b.topic, b.partition)
	for rec, err := range r.cfg.Reader.Read(ctx, b.topic, b.partition, 0, b.end) {
		if err != nil {
			return nil, fmt.Errorf("reading %s partition %d: %w", b.topic, b.partition, err)
		}
		e, _ := takeApart(recordOf(rec))
		id := hashOfID(e.id)
		if b.verdicts[e.stream][id] == nil || e.marker != nil {
			continue
		}
		if all[e.stream] == nil {
			all[e.stream] = map[connector.Hash]found{}
		}
		r.room.free(all[e.stream][id].body)
		delete(all[e.stream], id)
		if e.gone() {
			continue
		}
		row := found{id: e.id}
		if e.envelope != nil {
			row.body = r.room.keep(e.envelope.After)
		}
		all[e.stream][id] = row
	}
	return all, nil
}

// tellOf reports one row that differs.
func (r *run) tellOf(ctx context.Context, b *batch, s Stream, d *doubt, in found) {
	out := Difference{Stream: s, ID: d.id, What: Differs}
	if out.ID == "" {
		out.ID = in.id
	}
	if d.source == none && s.Kind == connector.Calendars && !b.astray[s] {
		if apart := r.leaving(ctx, s, out.ID); apart != nil {
			r.setApart(*apart)
			return
		}
	}
	switch {
	case b.astray[s]:
		out.What, out.Detail = Astray, fmt.Sprintf("it stands in partition %d, which is not its stream's", b.partition)
	case d.topic == none:
		out.What = Missing
	case d.held:
		out.What, out.Detail = Held, r.holdText(s)
	case d.source == none:
		out.What = Extra
	case d.topic == unreadable:
		out.What, out.Detail = Unreadable, "its value is no envelope with a row"
	case d.body == nil || in.body == nil:
		out.Detail = "the two differ; they are too large, or too many, to be shown by field"
	default:
		if out.Fields, out.Detail = compareBodies(in.body, d.body); out.Detail == "" && len(out.Fields) == 0 {
			r.report.Rows++ // the bytes alone are others
			return
		}
	}
	r.differ(out)
}

func compareBodies(topic, source []byte) ([]Field, string) {
	was, err := decodeRow(topic)
	if err != nil {
		return nil, "in the topic: " + err.Error()
	}
	is, err := decodeRow(source)
	if err != nil {
		return nil, "at the source: " + err.Error()
	}
	return allFields(was, is), ""
}

// leaving says of a calendars row whose collection is gone, and has other streams in the topics, that it goes after them.
func (r *run) leaving(ctx context.Context, s Stream, collection string) *Apart {
	s.Collection = collection
	for _, kind := range []connector.Kind{connector.Events, connector.ACL} {
		of := s
		of.Kind = kind
		k := r.known[of]
		if k.State == nil || k.State.Phase == connector.RemovedAll {
			continue
		}
		switch at, _ := r.homes[s.Source][s.Account].look(ctx, collection); at {
		case connector.Gone:
			return &Apart{s, Leaving, saysGone, 1}
		case connector.Forbidden:
			return &Apart{s, Forbidden, saysForbidden, 1}
		default:
		}
	}
	return nil
}
