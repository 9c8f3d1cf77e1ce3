package verify

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/calcdc/calcdc/connector"
)

const (
	// looks is how often a row in doubt is asked for again; one that has changed at its source each time is left undecided.
	looks = 4
	// soon is after how long the first of them comes: most of what differs is on its way to the topic.
	soon = 2 * time.Second
)

// lookAgain asks the sources again for what differs and reads the topics on, until all that differs has either come to be alike or been as
// it is at its source for as long as a running calcdc may take to see it.
func (r *run) lookAgain(ctx context.Context) error {
	for n := range looks {
		wait, doubts := r.doubts()
		if doubts == 0 {
			return nil
		}
		if n == 0 {
			wait = min(wait, soon)
		}
		r.say("%d rows differ: looking again in %v, in case they have only just changed …", doubts, wait)
		if !sleep(ctx, wait) {
			return context.Cause(ctx)
		}
		for _, b := range r.batches {
			if err := r.relook(ctx, b); err != nil {
				return err
			}
		}
	}
	for _, b := range r.batches {
		for _, l := range b.listings {
			r.report.Moving += int64(len(l.doubts))
		}
	}
	return nil
}

// doubts counts the rows in doubt, and says how long to wait for them.
func (r *run) doubts() (wait time.Duration, n int) {
	for _, b := range r.batches {
		for _, l := range b.listings {
			if n += len(l.doubts); len(l.doubts) > 0 {
				wait = max(wait, r.cfg.patience(l.home.source))
			}
		}
	}
	return wait, n
}

// relook looks at what is in doubt of a partition: at the sources first, then at what the topic has come to.
func (r *run) relook(ctx context.Context, b *batch) error {
	g, inner := errgroup.WithContext(ctx)
	slots := map[*connector.Source]*slots{}
	for s, l := range b.listings {
		if len(l.doubts) == 0 {
			delete(b.listings, s)
			continue
		}
		if slots[l.home.source] == nil {
			slots[l.home.source] = newSlots(l.home.source)
		}
		room := slots[l.home.source]
		g.Go(func() error {
			return room.do(inner, s.Account, func() error { l.failed = l.again(inner); return nil })
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if len(b.listings) == 0 {
		return nil
	}
	if b.topic != "" {
		if err := r.readOn(ctx, b.topic, b.partition, &b.end, b.follow); err != nil {
			return err
		}
	}
	for s, l := range b.listings {
		r.judge(b, s, l)
	}
	return nil
}

// follow takes over what a later record says of a row in doubt.
func (b *batch) follow(rec Record) {
	e, _ := takeApart(rec) // of a row that is doubted, an error makes it one that no source has
	if l := b.listings[e.stream]; l != nil {
		l.follow(e)
	}
}

// judge sorts a stream's doubts: those that are none any more, those that are differences, and those that remain.
func (r *run) judge(b *batch, s Stream, l *listing) {
	switch {
	case l.failed != nil:
		r.setApart(failed(s, l.failed, len(l.doubts)))
	case l.progress.Snapshot:
		r.setApart(Apart{s, InSnapshot, saysInSnapshot, len(l.doubts)})
	default:
		r.weigh(b, s, l)
		return
	}
	for id := range l.doubts {
		l.drop(id)
	}
}

func (r *run) weigh(b *batch, s Stream, l *listing) {
	r.report.Unread += int64(len(l.unread))
	clear(l.unread)
	patience := r.cfg.patience(l.home.source)
	for id, d := range l.doubts {
		switch {
		case d.settled():
			r.report.Changed++
			l.drop(id)
		case time.Since(d.since) >= patience:
			if b.verdicts[s] == nil {
				b.verdicts[s] = map[connector.Hash]*doubt{}
			}
			b.verdicts[s][id] = d
			delete(l.doubts, id)
		}
	}
}

// sleep waits for d; it is false when ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// show reads the topics once more for what differs, and reports it by row and field. What is beyond the limit is counted.
func (r *run) show(ctx context.Context) error {
	left := r.cfg.Limit - len(r.report.Differences)
	for _, b := range r.batches {
		n := b.trim(max(left, 0))
		r.report.Total += n.over
		left -= n.kept
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

// trimmed is how many verdicts were kept, and how many are over the limit.
type trimmed struct {
	kept int
	over int64
}

// trim leaves at most so many verdicts.
func (b *batch) trim(limit int) (n trimmed) {
	for s, verdicts := range b.verdicts {
		for id := range verdicts {
			if n.kept < limit {
				n.kept++
				continue
			}
			n.over++
			delete(verdicts, id)
		}
		if len(verdicts) == 0 {
			delete(b.verdicts, s)
		}
	}
	return n
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
