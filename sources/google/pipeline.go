package google

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/calcdc/calcdc/connector"
	"golang.org/x/sync/semaphore"
)

const (
	maxPage    = 500     // resources in a page
	pageBytes  = 4 << 20 // of bodies in a page
	batchItems = 100     // in one job
	batchBytes = 256 << 10
	aheadJobs  = 8                      // whose results wait for the consumer …
	aheadBytes = aheadJobs * batchBytes // … and of how many bytes of items: a batch may be one long item
)

// parsed is an item as it was read.
type parsed struct {
	res   connector.Resource
	bytes int
	// series is set for a cancelled instance, whose series decides what becomes of it. Where told is set, only its id says so.
	series string
	told   bool
	skip   bool // it is there to be passed over: a tombstone in a listing
}

// chunk is a part of a poll's answer: items, or what stands between them.
type chunk struct {
	items []parsed
	page  bool  // a page of the list ends here
	end   *mark // the answer ends here
	err   error
}

// mark stands at the end of an answer that was read completely.
type mark struct {
	token   string
	listing bool
}

// job is a piece of work whose result comes later.
type job struct {
	chunk chan chunk
	bytes int64 // of items
}

// pipeline lets one goroutine read answers, several parse, and the caller consume, all at once and within bounds.
type pipeline struct {
	ctx   context.Context //nolint:containedctx // of this poll, which ends with it
	parse func(item) (parsed, error)
	jobs  chan job
	ahead *semaphore.Weighted // bytes of items whose results are not taken yet
	cpu   *semaphore.Weighted
	wg    sync.WaitGroup

	text []byte // of the batch that is being filled
	ends []int  // of its items
	long []bool
}

// flow calls list in a goroutine, which adds items, and hands the chunks to take in order, until it wants no more. It
// returns when everything that it started has ended.
func flow(ctx context.Context, parse func(item) (parsed, error), list func(*pipeline) error, take func(context.Context, chunk) bool) {
	ctx, cancel := context.WithCancel(ctx)
	p := &pipeline{ctx: ctx, parse: parse, jobs: make(chan job, aheadJobs),
		ahead: semaphore.NewWeighted(aheadBytes), cpu: semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0)))}
	p.wg.Go(func() {
		defer close(p.jobs)
		if err := list(p); err != nil {
			_ = p.put(chunk{err: err}) // fails only when nobody listens any more
		}
	})
	defer p.wg.Wait()
	defer cancel()
	for j := range p.jobs {
		if !take(ctx, <-j.chunk) {
			return
		}
		p.ahead.Release(j.bytes)
	}
	err := context.Cause(ctx)
	if err == nil {
		err = errors.New("the listing ended without its end")
	}
	take(ctx, chunk{err: err})
}

// put puts a chunk that is at hand in its place.
func (p *pipeline) put(c chunk) error {
	j := job{chunk: make(chan chunk, 1)}
	j.chunk <- c
	return p.queue(j)
}

func (p *pipeline) queue(j job) error {
	select {
	case p.jobs <- j:
		return nil
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
}

// add takes an item, whose bytes are the reader's again when it returns.
func (p *pipeline) add(it item) error {
	p.text = append(p.text, it.raw...)
	p.ends, p.long = append(p.ends, len(p.text)), append(p.long, it.long)
	if len(p.ends) < batchItems && len(p.text) < batchBytes {
		return nil
	}
	return p.flush()
}

// flush has the batch parsed beside the reading. Its place in the order is taken before.
func (p *pipeline) flush() error {
	if len(p.ends) == 0 {
		return nil
	}
	text, ends, long := p.text, p.ends, p.long
	j := job{make(chan chunk, 1), min(int64(len(text)), aheadBytes)}
	if p.ahead.Acquire(p.ctx, j.bytes) != nil || p.cpu.Acquire(p.ctx, 1) != nil {
		return context.Cause(p.ctx)
	}
	p.text, p.ends, p.long = make([]byte, 0, min(cap(text), 2*batchBytes)), nil, nil
	p.wg.Go(func() {
		defer p.cpu.Release(1)
		j.chunk <- p.read(text, ends, long)
	})
	return p.queue(j)
}

func (p *pipeline) read(text []byte, ends []int, long []bool) chunk {
	c := chunk{items: make([]parsed, 0, len(ends))}
	from := 0
	for i, end := range ends {
		one, err := p.parse(item{raw: text[from:end:end], long: long[i]})
		if err != nil {
			return chunk{err: err}
		}
		c.items, from = append(c.items, one), end
	}
	return c
}

// pager cuts what a poll shows into pages.
type pager struct {
	yield func(connector.Page, error) bool
	page  connector.Page
	bytes int
	delta bool
}

// add puts a resource on the page; false when nothing more is wanted.
func (b *pager) add(r connector.Resource, bytes int) bool {
	n := len(b.page.Resources)
	if (n == maxPage || n > 0 && b.bytes+bytes > pageBytes) && !b.flush() {
		return false
	}
	b.page.Resources, b.bytes = append(b.page.Resources, r), b.bytes+bytes
	return true
}

func (b *pager) flush() bool {
	page := b.page
	page.Overlap = b.delta
	b.page, b.bytes = connector.Page{}, 0
	return b.yield(page, nil)
}
