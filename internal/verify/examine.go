package verify

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/calcdc/calcdc/connector"
)

// partition folds one partition and compares the streams that are in it.
func (r *run) partition(ctx context.Context, source *connector.Source, topic string, p int32) error {
	r.say("reading %s, partition %d …", topic, p)
	f, err := r.fold(ctx, topic, p, r.length(topic, p))
	if err != nil {
		return err
	}
	for s := range r.expected() {
		k := r.known[s]
		if f.streams[s] == nil && r.cfg.selects(s) && r.cfg.Topic(s) == topic && k.State != nil && k.State.Partition == p {
			f.streams[s] = newShelf()
		}
	}
	b := newBatch(topic, p)
	b.begin, b.end = f.end, f.end
	for _, d := range f.alien {
		r.differ(d)
	}
	return r.examineAll(ctx, source, b, f.streams)
}

// length is how long a partition is known to be, at least.
func (r *run) length(topic string, p int32) (n int64) {
	for s, k := range r.known {
		if k.State != nil && k.State.Partition == p && k.State.Phase != connector.RemovedAll && r.cfg.Topic(s) == topic {
			n = max(n, k.State.DataEnd)
		}
	}
	return n
}

// examineAll compares streams, as many at once as the source is read by run.
func (r *run) examineAll(ctx context.Context, source *connector.Source, b *batch, shelves map[Stream]*shelf) error {
	r.mu.Lock()
	r.batches = append(r.batches, b)
	r.mu.Unlock()
	g, ctx := errgroup.WithContext(ctx)
	s := newSlots(source)
	for stream, shelf := range shelves {
		g.Go(func() error {
			return s.do(ctx, stream.Account, func() error { return r.examine(ctx, b, stream, shelf) })
		})
	}
	return g.Wait()
}

// examine compares one stream, if it can be.
func (r *run) examine(ctx context.Context, b *batch, s Stream, shelf *shelf) error {
	if r.strays(b, s, shelf) {
		return nil
	}
	h, apart := r.standing(ctx, s, shelf, b.end)
	switch {
	case apart != nil:
		r.aside(ctx, b, h, s, shelf, apart)
		return nil
	case h == nil:
		return nil
	}
	l, err := r.compare(ctx, h, s, shelf)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.aside(ctx, b, h, s, shelf, failed(s, err, len(shelf.rows)))
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Streams++
	r.report.Rows += l.rows
	r.report.Older += l.older
	r.report.ParseErrors += l.faulty
	if r.report.Unread += int64(len(l.unread)); len(l.doubts) > 0 {
		clear(l.unread)
		b.listings[s] = l
	}
	if l.apart > 0 {
		r.report.NotCompared = append(r.report.NotCompared, Apart{s, NotFollowed, "collections that the configuration does not follow", int(l.apart)})
	}
	return nil
}

// aside tells of a stream that is not compared. One that has gone from h is looked at again, since its deletes may be on their way; so is
// one that has not begun.
func (r *run) aside(ctx context.Context, b *batch, h *home, s Stream, shelf *shelf, apart *Apart) {
	switch {
	case h != nil && apart.Why == NotBegun:
		r.notBegun(ctx, h, s, shelf, apart)
		return
	case h == nil || apart.Why != Leaving:
		r.setApart(*apart)
		return
	}
	l := r.listing(h, s, shelf)
	l.leaving = apart
	if l.extras() != nil { // too many
		l.dropAll()
		r.setApart(*apart)
		return
	}
	l.shelf = nil
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Streams++
	b.listings[s] = l
}

// failed says why a stream that was to be listed could not be.
func failed(s Stream, err error, rows int) *Apart {
	switch {
	case errors.Is(err, connector.ErrGone):
		return &Apart{s, Leaving, saysGone, rows}
	case errors.Is(err, errTooMany):
		return &Apart{s, Unlike, err.Error(), rows}
	}
	return &Apart{s, Failing, err.Error(), rows}
}

// strays tells whether the stream's rows belong in another partition; then each of them is a difference.
func (r *run) strays(b *batch, s Stream, shelf *shelf) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.met[s]
	if k := r.known[s]; k.State != nil {
		at, ok = k.State.Partition, true
	}
	if !ok || at == b.partition || b.topic == "" {
		r.met[s], r.examined[s] = b.partition, true
		return false
	}
	if len(shelf.rows) > 0 {
		b.astray[s] = true
		doubts := map[connector.Hash]*doubt{}
		for id, m := range shelf.rows {
			doubts[id] = &doubt{topic: m.hash}
		}
		b.verdicts[s] = doubts
	}
	return true
}

func (r *run) setApart(a Apart) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.NotCompared = append(r.report.NotCompared, a)
}

// differ reports a difference, in full while there are few.
func (r *run) differ(d Difference) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.report.Total++; len(r.report.Differences) < r.cfg.Limit {
		r.report.Differences = append(r.report.Differences, d)
	}
}
