package caldav

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/calcdc/calcdc/connector"
	"golang.org/x/sync/semaphore"
)

const (
	pageBytes  = 4 << 20 // of bodies in a page
	batchBytes = 1 << 20 // of bodies in one job
	fetchBatch = 100     // hrefs in one multiget

	jobBytes = 2 * pageBytes // of bodies that a job holds at most, if each is small: a chunk to be taken, and the next
)

// chunk is a part of a job's result: resources in order, or what ends an answer.
type chunk struct {
	resources []connector.Resource
	bytes     int // of their bodies
	mark      *mark
	err       error
	shown     chan struct{} // not nil: the page of it holds nothing else from then on, and it is closed once that has been taken
}

// mark stands at the end of an answer that was read completely.
type mark struct {
	token   string
	last    bool
	listing bool
}

// job is a piece of work whose result comes later, in chunks; jobs' results are taken in the order of the jobs.
type job struct {
	chunks chan chunk
	first  context.Context    //nolint:containedctx // of this job: ends when its result is the next to be taken
	reach  context.CancelFunc // ends first
	taken  chan struct{}      // closed when all of its result has been
}

func (p *pipeline) newJob() *job {
	j := &job{chunks: make(chan chunk, 1), taken: make(chan struct{})}
	j.first, j.reach = context.WithCancel(p.ctx)
	return j
}

// pipeline lets one goroutine list, several fetch and parse, and the caller consume, all at once and within bounds:
// so many jobs ahead, and of all pipelines of the service so many bytes of bodies, besides the job whose result is being taken.
type pipeline struct {
	ctx   context.Context //nolint:containedctx // of this poll, which ends with it
	jobs  chan *job
	cpu   *semaphore.Weighted // parsing without a request
	ahead *ahead
	wg    sync.WaitGroup
	last  *job // that was put; the lister's alone
}

// ahead bounds the bytes of bodies that are read before their turn, by all accounts of a service.
type ahead struct {
	bytes *semaphore.Weighted
	most  int64
}

func newAhead(most int64) *ahead { return &ahead{semaphore.NewWeighted(most), most} }

// enter waits for room for so many bytes, or until the job is the next to be taken: that one needs none, so every poll goes on.
func (a *ahead) enter(j *job, bytes int64) (leave func()) {
	bytes = min(bytes, a.most)
	if a.bytes.Acquire(j.first, bytes) != nil {
		return func() {}
	}
	return func() { a.bytes.Release(bytes) }
}

// run calls list in a goroutine, which adds jobs, and yields pages until the last, an error, or the caller's
// break. It returns when everything it started has ended.
func run(ctx context.Context, jobs int, a *ahead, list func(*pipeline) error, yield func(connector.Page, error) bool) {
	ctx, cancel := context.WithCancel(ctx)
	p := &pipeline{ctx: ctx, jobs: make(chan *job, jobs), ahead: a, cpu: semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0)))}
	p.wg.Go(func() {
		defer close(p.jobs)
		if err := list(p); err != nil {
			_ = p.add(chunk{err: err}) // fails only when nobody listens any more
		}
	})
	defer p.wg.Wait()
	defer cancel()
	p.collect(yield)
}

// add puts a result that is at hand in its place.
func (p *pipeline) add(c chunk) error {
	j := p.newJob()
	j.chunks <- c
	close(j.chunks)
	return p.put(j)
}

// work adds a job of about so many bytes of bodies, which runs beside others once sem has room; weight is taken from it before work
// returns, so the first job in line never waits for a later one.
func (p *pipeline) work(sem *semaphore.Weighted, bytes int64, f func(*outlet) error) error {
	if err := sem.Acquire(p.ctx, 1); err != nil {
		return err
	}
	j := p.newJob()
	p.wg.Go(func() {
		defer p.ahead.enter(j, bytes)()
		out := &outlet{p.ctx, j}
		err := f(out)
		sem.Release(1)
		if err != nil {
			_ = out.emit(chunk{err: err}) // not taken: the caller has gone
		}
		close(j.chunks)
		select {
		case <-j.taken:
		case <-p.ctx.Done():
		}
	})
	return p.put(j)
}

// outlet is where a job's results go.
type outlet struct {
	ctx context.Context //nolint:containedctx // of the poll
	job *job
}

// emit hands a chunk over; where it says so, it waits until it has been taken.
func (o *outlet) emit(c chunk) error {
	select {
	case o.job.chunks <- c:
	case <-o.ctx.Done():
		return o.ctx.Err()
	}
	if c.shown == nil {
		return nil
	}
	return o.await(c.shown)
}

// first waits until the job's result is the next to be taken.
func (o *outlet) first() error { return o.await(o.job.first.Done()) }

func (o *outlet) await(what <-chan struct{}) error {
	select {
	case <-what:
		return o.ctx.Err()
	case <-o.ctx.Done():
		return o.ctx.Err()
	}
}

// drained waits until all that the lister has put has been taken.
func (p *pipeline) drained() error {
	if p.last == nil {
		return nil
	}
	select {
	case <-p.last.taken:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

func (p *pipeline) put(j *job) error {
	p.last = j
	select {
	case p.jobs <- j:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// collect takes results in order and yields them as pages.
func (p *pipeline) collect(yield func(connector.Page, error) bool) {
	b := pager{yield: yield}
	for j := range p.jobs {
		j.reach()
		for c := range j.chunks {
			if !b.take(c) {
				return
			}
		}
		close(j.taken)
	}
	if !b.done {
		yield(connector.Page{}, p.why())
	}
}

// why is the reason that the results ended without a mark.
func (p *pipeline) why() error {
	if err := context.Cause(p.ctx); err != nil {
		return err
	}
	return errors.New("the listing ended without its end")
}

// pager cuts chunks into pages.
type pager struct {
	yield func(connector.Page, error) bool
	page  connector.Page
	bytes int
	done  bool
}

// take adds a chunk; it returns false when nothing more is wanted.
func (b *pager) take(c chunk) bool {
	if c.err != nil {
		b.done = true
		b.yield(connector.Page{}, c.err)
		return false
	}
	for len(c.resources) > 0 {
		n := min(maxPage-len(b.page.Resources), len(c.resources))
		if n == 0 || len(b.page.Resources) > 0 && b.bytes+c.bytes > pageBytes {
			if !b.flush() {
				return false
			}
			continue
		}
		if b.page.Resources == nil && n >= fetchBatch { // others will follow
			b.page.Resources = make([]connector.Resource, 0, maxPage)
		}
		b.page.Resources = append(b.page.Resources, c.resources[:n]...)
		c.resources = c.resources[n:]
		b.bytes += c.bytes
		c.bytes = 0
	}
	if c.shown != nil {
		defer close(c.shown)
		return b.flush()
	}
	if c.mark == nil {
		return true
	}
	b.page.Token, b.page.Last, b.page.Listing = c.mark.token, c.mark.last, c.mark.listing
	b.done = c.mark.last
	return b.flush() && !b.done
}

func (b *pager) flush() bool {
	page := b.page
	b.page, b.bytes = connector.Page{}, 0
	return b.yield(page, nil)
}
