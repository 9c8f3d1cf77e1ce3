package verify

import (
	"context"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// late is a stream of which nothing was published when it was looked at.
type late struct {
	home  *home
	shelf *shelf
	since time.Time
}

// notBegun keeps a stream for another look: its collection may have been made just before, so that a running calcdc is about to begin it.
// It says so of one that has been given as long as that may take, unless its collection is not there any more.
func (r *run) notBegun(ctx context.Context, h *home, s Stream, shelf *shelf, apart *Apart) {
	r.mu.Lock()
	l := r.late[s]
	if l == nil {
		l = &late{h, shelf, time.Now()}
	}
	overdue := r.overdue(l)
	if !overdue {
		r.late[s] = l
	}
	r.mu.Unlock()
	if !overdue {
		return
	}
	if s.Collection != "" && r.cfg.patience(h.source) > 0 {
		if at, _ := h.look(ctx, s.Collection); at == connector.Gone {
			return
		}
	}
	r.setApart(*apart)
}

// overdue tells whether a running calcdc would have begun the stream.
func (r *run) overdue(l *late) bool {
	return time.Since(l.since) >= polls*r.cfg.patience(l.home.source)
}

// begun compares the streams that have begun since they were looked at, and gives up on those that should have.
func (r *run) begun(ctx context.Context) error {
	if len(r.late) == 0 {
		return nil
	}
	if err := r.recall(ctx); err != nil {
		return err
	}
	due := map[place]map[Stream]*shelf{}
	for s, l := range r.late {
		at := place{source: l.home.source, partition: -1}
		ready := r.overdue(l)
		if k := r.known[s].State; k != nil && k.Phase != connector.RemovedAll {
			at.topic, at.partition = r.cfg.Topic(s), k.Partition
			ready = ready || k.Phase == connector.Streaming
		}
		if !ready {
			continue
		}
		if due[at] == nil {
			due[at] = map[Stream]*shelf{}
		}
		due[at][s] = l.shelf
	}
	for at, shelves := range due {
		if err := r.examineLate(ctx, at, shelves); err != nil {
			return err
		}
		for s := range shelves {
			delete(r.late, s)
		}
	}
	return nil
}

// place is a partition with rows of a source; without a topic, none.
type place struct {
	source    *connector.Source
	topic     string
	partition int32
}

// examineLate compares streams whose first records came to a partition after it was folded.
func (r *run) examineLate(ctx context.Context, at place, shelves map[Stream]*shelf) error {
	b := newBatch(at.topic, at.partition)
	if at.topic != "" {
		for _, earlier := range r.batches {
			if earlier.topic == at.topic && earlier.partition == at.partition {
				b.end = earlier.begin
				break
			}
		}
		err := r.readTo(ctx, at.topic, at.partition, &b.end, r.length(at.topic, at.partition), func(rec Record) {
			e, _ := takeApart(rec) // what is no row of calcdc's has been told of, or will be
			if s := shelves[e.stream]; s != nil {
				s.add(e)
			}
		})
		if err != nil {
			return err
		}
	}
	return r.examineAll(ctx, at.source, b, shelves)
}
