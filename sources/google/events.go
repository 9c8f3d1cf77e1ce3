package google

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sources/google/internal/rows"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
)

const (
	// maxHeld bounds the bytes of cancelled instances that wait for the end of the poll; beyond it, what becomes of them
	// is asked for at once.
	maxHeld = 4 << 20
	// inFlight is how many single resources are asked for at once, and someIDs of how many the answers are kept before they are shown.
	inFlight = 4
	someIDs  = 4 * inFlight
)

// parse reads one item of the stream's list. It is called from several goroutines.
func (p *poll) parse(it item) (parsed, error) {
	switch p.query.Stream.Kind {
	case connector.Calendars:
		return p.parseCalendar(it)
	case connector.ACL:
		r := rows.ParseRule(it.raw)
		return p.plain(it, r.ID, r.ETag, r.Deleted(), func(o rows.Options) connector.Row { return r.Row(p.query.Stream, o) })
	case connector.Settings:
		s := rows.ParseSetting(it.raw)
		return p.plain(it, s.ID, s.ETag, false, func(o rows.Options) connector.Row { return s.Row(p.query.Stream, o) })
	case connector.Events:
	}
	return p.parseEvent(it)
}

// plain makes what a list shows of an item: removed, listed where its body is not needed, or read.
func (p *poll) plain(it item, id, etag string, removed bool, row func(rows.Options) connector.Row) (parsed, error) {
	if id == "" {
		return parsed{}, &Error{Op: opOf(p.query.Stream), Err: fmt.Errorf("an item without an id: %q", clean(string(it.raw), 200))}
	}
	o := p.account.options()
	res := connector.Resource{ID: id, Hash: connector.HashOf(it.raw)}
	if it.long { // only the beginning is here: no raw
		o.MaxRaw = 0
		res.Hash = connector.HashOf(it.raw, []byte(etag))
	}
	res.ETag = version(etag, res.Hash)
	switch {
	case removed:
		return parsed{res: connector.Resource{ID: id, ETag: res.ETag, Presence: connector.Removed}, skip: p.listing}, nil
	case p.listing && p.query.Stream.Kind != connector.Calendars && !p.pending[id] && !p.needs(id, res.ETag):
		return parsed{res: connector.Resource{ID: id, ETag: res.ETag}}, nil
	}
	res.Presence, res.Rows = connector.Read, []connector.Row{row(o)}
	return parsed{res: res, bytes: len(it.raw)}, nil
}

// version is what tells an item from what it was: its ETag with a hash of its bytes, since of one ETag an account with another
// role is shown another item.
func version(etag string, h connector.Hash) string { return etag + " " + hex.EncodeToString(h[:8]) }

// parseEvent reads one item of events.list. A cancelled instance of a series is a row for as long as the series lives;
// anything else that is cancelled is gone.
func (p *poll) parseEvent(it item) (parsed, error) {
	ev := rows.ParseEvent(it.raw)
	series := ev.SeriesID()
	if series == ev.ID {
		series = ""
	}
	out, err := p.plain(it, ev.ID, ev.ETag, ev.Cancelled() && series == "", func(o rows.Options) connector.Row { return ev.Row(p.query.Stream, o) })
	if err != nil {
		return parsed{}, err
	}
	out.res.Parent = series
	if ev.Cancelled() && series != "" {
		out.series, out.told = series, ev.RecurringEventID == ""
		out.bytes = max(out.bytes, len(it.raw))
	}
	return out, nil
}

// parseCalendar reads one item of calendarList.list.
func (p *poll) parseCalendar(it item) (parsed, error) {
	a, c := p.account, rows.ParseCalendar(it.raw)
	out, err := p.plain(it, c.ID, c.ETag, c.Deleted, func(o rows.Options) connector.Row { return c.Row(p.query.Stream, a.how(c.ID), o) })
	if err != nil || c.Deleted {
		return out, err
	}
	if !a.cfg.Follow(c.ID, c.Name) {
		return parsed{res: connector.Resource{ID: c.ID, Presence: connector.Ignored}}, nil
	}
	out.res.Streams = a.streams(c)
	return out, nil
}

// held are cancelled instances of series whose fate in this poll is not known yet.
type held struct {
	byID  map[string]parsed
	order []string
	bytes int

	asking singleflight.Group
	mu     sync.Mutex
	alive  map[string]bool // series that were asked for
}

func (h *held) hold(it parsed) {
	h.byID[it.res.ID] = it
	h.order = append(h.order, it.res.ID)
	h.bytes += it.bytes
}

func (h *held) drop(id string) {
	if it, ok := h.byID[id]; ok {
		delete(h.byID, id)
		h.order = slices.DeleteFunc(h.order, func(o string) bool { return o == id })
		h.bytes -= it.bytes
	}
}

// settle decides what becomes of the held, and shows it; false when nothing more is wanted. At the end of a listing a series
// that was not shown is not there; else it is asked for.
func (p *poll) settle(ctx context.Context, end bool) bool {
	ids := p.held.order
	if len(ids) == 0 {
		return true
	}
	decide := func(ctx context.Context, id string) (parsed, error) { return p.decide(ctx, p.held.byID[id], end) }
	if !p.askFor(ctx, ids, decide, func(it parsed) bool {
		p.mark(it)
		return it.skip || p.add(it.res, it.bytes)
	}) {
		return false
	}
	clear(p.held.byID)
	p.held.order, p.held.bytes = nil, 0
	return true
}

// decide says what a cancelled instance comes to.
func (p *poll) decide(ctx context.Context, it parsed, end bool) (parsed, error) {
	alive := p.alive(it.series)
	if !p.seen.Has(it.series) && !(p.listing && end) {
		var err error
		if alive, err = p.livesOn(ctx, it.series); err != nil {
			return parsed{}, err
		}
	}
	if !alive {
		return p.gone(it), nil
	}
	if !it.told || it.res.Presence != connector.Read {
		return it, nil
	}
	return p.whole(ctx, it)
}

// gone is a cancelled instance that is no row.
func (p *poll) gone(it parsed) parsed {
	return parsed{res: connector.Resource{ID: it.res.ID, ETag: it.res.ETag, Presence: connector.Removed}, skip: p.listing}
}

// whole asks for an instance of which only the id says that it is one. What has no more to say stays as it was told; what takes
// place follows its series' rule, or the next poll shows it.
func (p *poll) whole(ctx context.Context, it parsed) (parsed, error) {
	told, err := p.account.one(ctx, p.query.Stream, it.res.ID)
	if isMissing(err) {
		return it, nil
	}
	if err != nil {
		return parsed{}, err
	}
	full, err := p.parse(told)
	if err != nil {
		return parsed{}, err
	}
	switch {
	case full.res.ID == it.res.ID && full.series == "":
		return p.gone(it), nil
	case full.res.ID != it.res.ID || full.told || full.res.Presence != connector.Read:
		return it, nil
	}
	return full, nil
}

// livesOn asks whether a series is there, once in a poll.
func (p *poll) livesOn(ctx context.Context, series string) (bool, error) {
	alive, err, _ := p.held.asking.Do(series, func() (any, error) {
		p.held.mu.Lock()
		alive, known := p.held.alive[series]
		p.held.mu.Unlock()
		if known {
			return alive, nil
		}
		at, err := p.account.lookAtEvent(ctx, p.query.Stream, series)
		if err != nil {
			return false, fmt.Errorf("asking for the series of a cancelled event: %w", err)
		}
		p.held.mu.Lock()
		defer p.held.mu.Unlock()
		p.held.alive[series] = at == connector.Read
		return at == connector.Read, nil
	})
	is, _ := alive.(bool)
	return is, err
}

// each calls do for every id, a few at once, and returns the results in order, or the first error.
func each[T any](ctx context.Context, ids []string, do func(context.Context, string) (T, error)) ([]T, error) {
	out := make([]T, len(ids))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(inFlight)
	for i, id := range ids {
		g.Go(func() (err error) {
			out[i], err = do(ctx, id)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

// serialised makes a Needs that several goroutines may call.
func serialised(needs func(id, etag string) bool) func(id, etag string) bool {
	var mu sync.Mutex
	return func(id, etag string) bool {
		mu.Lock()
		defer mu.Unlock()
		return needs == nil || needs(id, etag)
	}
}
