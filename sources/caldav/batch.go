package caldav

import (
	"slices"

	"github.com/calcdc/calcdc/connector"
)

// batch gathers what a listing shows until it is worth a job.
type batch struct {
	poll    *poll
	entries []entry
	fetches int
	bodies  int
	bytes   int
	more    bool // there was a job of as many fetches as one may have
}

// entry is a member that is known already, or has its body here, or needs it fetched.
type entry struct {
	member
	done  connector.Resource
	here  *response
	fetch bool
}

func (b *batch) known(r connector.Resource) error {
	b.entries = append(b.entries, entry{done: r})
	return b.full()
}

func (b *batch) body(m member, r *response) error {
	b.entries = append(b.entries, entry{member: m, here: r})
	b.bodies++
	b.bytes += len(r.data)
	return b.full()
}

func (b *batch) fetch(m member) error {
	if b.entries == nil && b.more {
		b.entries = make([]entry, 0, fetchBatch)
	}
	b.entries = append(b.entries, entry{member: m, fetch: true})
	b.fetches++
	return b.full()
}

// full makes a job of what is enough for one.
func (b *batch) full() error {
	if len(b.entries) < maxPage && b.fetches < fetchBatch && b.bodies < fetchBatch && b.bytes < batchBytes {
		return nil
	}
	return b.flush()
}

// flush makes a job of what there is. Bodies are parsed and fetched in the job, beside others.
func (b *batch) flush() error {
	entries, p := b.entries, b.poll
	if len(entries) == 0 {
		return nil
	}
	fetches, bodies, bytes := b.fetches, b.bodies, b.bytes
	*b = batch{poll: p, more: b.more || fetches >= fetchBatch}
	switch {
	case fetches > 0:
		return p.work(p.account.client.fetches, p.expect(fetches), func(out *outlet) error { return p.resolve(entries, out) })
	case bodies > 0:
		return p.work(p.cpu, int64(bytes), func(out *outlet) error { return p.resolve(entries, out) })
	}
	c := chunk{resources: make([]connector.Resource, len(entries))}
	for i, e := range entries {
		c.resources[i] = e.done
	}
	return p.add(c)
}

// expect is how many bytes a job holds that fetches so many bodies: twice what is usual here, and until that is known, the most.
func (p *poll) expect(fetches int) int64 {
	n := p.bodies.Load()
	if n == 0 {
		return jobBytes
	}
	return min(2*int64(fetches)*p.bodyBytes.Load()/n, jobBytes)
}

// resolve turns entries into resources and emits them, in order unless they are too large to be held together.
func (p *poll) resolve(entries []entry, to *outlet) error {
	out := results{to: to, held: make([]placed, 0, len(entries))}
	f := fetcher{poll: p, ctx: p.ctx, out: &out, want: map[string]int{}, entries: entries}
	for i, e := range entries {
		var err error
		switch {
		case e.fetch:
			f.want[e.id] = i
		case e.here != nil:
			entries[i].here = nil
			err = out.put(i, p.bodied(e.member, e.here), len(e.here.data))
		default:
			err = out.put(i, e.done, 0)
		}
		if err != nil {
			return err
		}
	}
	if err := f.run(); err != nil {
		return err
	}
	return out.flush()
}

// results holds resources until they make a chunk, and sorts them by position.
type results struct {
	to    *outlet
	held  []placed
	bytes int
}

type placed struct {
	at  int
	res connector.Resource
}

func (r *results) put(at int, res connector.Resource, bytes int) error {
	r.held = append(r.held, placed{at, res})
	if r.bytes += bytes; r.bytes < pageBytes {
		return nil
	}
	if bytes > longBytes {
		return r.show(make(chan struct{}))
	}
	return r.flush()
}

func (r *results) flush() error {
	if len(r.held) == 0 {
		return nil
	}
	return r.show(nil)
}

// turn waits until what was read before has been taken, and for room.
func (r *results) turn(l *long) *turn {
	return &turn{long: l, first: func() error {
		if err := r.flush(); err != nil {
			return err
		}
		return r.to.first()
	}}
}

func (r *results) show(shown chan struct{}) error {
	slices.SortFunc(r.held, func(a, b placed) int { return a.at - b.at })
	c := chunk{resources: make([]connector.Resource, len(r.held)), bytes: r.bytes, shown: shown}
	for i, h := range r.held {
		c.resources[i] = h.res
	}
	r.held, r.bytes = nil, 0
	return r.to.emit(c)
}
