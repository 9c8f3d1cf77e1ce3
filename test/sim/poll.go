package sim

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/calcdc/calcdc/connector"
)

var (
	errDown   = errors.New("503: the service is down")
	errDenied = errors.New("403: forbidden")
)

// busyError is an answer with the server's wish to be left alone.
type busyError struct{ after time.Duration }

func (e *busyError) Error() string             { return "429: busy" }
func (e *busyError) RetryAfter() time.Duration { return e.after }

// Name implements connector.Account.
func (a *account) Name() string { return a.name }

// ConfigHash implements connector.Account.
func (a *account) ConfigHash(k connector.Kind) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.config + string(k)
}

// Connect implements connector.Account.
func (a *account) Connect(ctx context.Context) error { return a.meet(ctx, "connect") }

// meet lets one request take its time, and what the weather brings.
func (a *account) meet(ctx context.Context, what string) error {
	r := a.dice.roll(a.name + " " + what)
	a.mu.Lock()
	trouble := r.Float64() < a.weather.fail
	a.mu.Unlock()
	if err := pause(ctx, time.Millisecond+time.Duration(r.Int64N(int64(30*time.Millisecond)))); err != nil {
		return err
	}
	a.note("%s %s trouble %v", a.name, what, trouble)
	if !trouble {
		return nil
	}
	switch r.IntN(5) {
	case 0:
		if err := pause(ctx, time.Duration(r.Int64N(int64(40*time.Second)))); err != nil {
			return err
		}
		return context.DeadlineExceeded
	case 1:
		return &busyError{time.Duration(r.IntN(30)) * time.Second}
	case 2:
		return errDenied
	}
	return errDown
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// entry is what an answer says of one member.
type entry struct {
	id      string
	etag    string
	removed bool
	ghost   *member // shown as it was, though it has gone with its parent
}

// answer is what a poll will show.
type answer struct {
	entries []entry
	token   string
	listing bool
}

// Poll implements connector.Account.
func (a *account) Poll(ctx context.Context, q connector.Query) iter.Seq2[connector.Page, error] {
	return func(yield func(connector.Page, error) bool) {
		if err := a.meet(ctx, "list "+q.Stream.String()); err != nil {
			yield(connector.Page{}, err)
			return
		}
		r := a.dice.roll("answer " + q.Stream.String())
		a.mu.Lock()
		ans, err := a.answer(q, r)
		a.mu.Unlock()
		if err != nil {
			a.note("%s: %v", q.Stream, err)
			yield(connector.Page{}, err)
			return
		}
		a.serve(ctx, q, ans, yield)
	}
}

// answer decides what a poll will show. The caller holds mu.
func (a *account) answer(q connector.Query, r *rand.Rand) (answer, error) {
	if q.Stream.Kind == connector.Calendars {
		return a.home(q, r)
	}
	c, there := a.collections[q.Stream.Collection]
	if there && c.hidden != "" {
		return answer{}, errDenied
	}
	s := a.shelfOf(q.Stream)
	if s == nil {
		return answer{}, fmt.Errorf("404: %w", connector.ErrGone)
	}
	since, ok := s.parse(q.Token)
	ans := answer{token: s.token(), listing: q.Token == "" || a.listsOnly}
	switch {
	case ans.listing:
		ans.entries = a.all(s, r)
	case r.Float64() < a.weather.dead, (!ok || since < s.oldest) && !a.silent:
		return answer{}, fmt.Errorf("403: %w", connector.ErrTokenInvalid)
	case !ok || since < s.oldest:
		ans.entries = everything(s)
	default:
		ans.entries = a.delta(s, since, r)
	}
	for _, id := range q.Pending {
		if !ans.listing && !slices.ContainsFunc(ans.entries, func(e entry) bool { return e.id == id }) {
			ans.entries = append(ans.entries, entry{id: id, removed: s.wentAlong(id)})
		}
	}
	if a.repeats && len(ans.entries) > 0 && r.IntN(3) == 0 {
		ans.entries = append(ans.entries, ans.entries[r.IntN(len(ans.entries))])
	}
	return ans, nil
}

func everything(s *shelf) []entry {
	var out []entry
	for _, id := range slices.Sorted(maps.Keys(s.members)) {
		out = append(out, entry{id: id, etag: s.members[id].etag})
	}
	return out
}

// all is a listing, from which something may be left out.
func (a *account) all(s *shelf, r *rand.Rand) []entry {
	out := everything(s)
	if len(out) > 0 && r.Float64() < a.weather.omit && a.healed {
		i := r.IntN(len(out))
		a.note("%s left out", out[i].id)
		s.wrong = true
		out = slices.Delete(out, i, i+1)
	}
	return out
}

// delta is what has changed since a version. Of what went with its parent, which is still gone, it says nothing, or not the truth.
func (a *account) delta(s *shelf, since int, r *rand.Rand) []entry {
	last := map[string]change{}
	moves := map[string]int{}
	parents := map[string][]string{} // that it had: whoever knows it under another one has to be told
	for _, c := range s.log[since:] {
		last[c.id] = c
		moves[c.id]++
		if c.was.body != "" {
			parents[c.id] = append(parents[c.id], c.was.parent)
		}
	}
	delete(last, "")
	var out []entry
	for _, id := range slices.Sorted(maps.Keys(last)) {
		c := last[id]
		m, there := s.members[id]
		switch {
		case there:
			out = append(out, entry{id: id, etag: m.etag})
		case c.with == "" || s.has(c.with) || r.IntN(4) == 0:
			out = append(out, entry{id: id, removed: true})
		case moves[id] > 1 && r.IntN(2) == 0:
			out = append(out, entry{id: id, ghost: &c.was})
		case slices.ContainsFunc(parents[id], func(p string) bool { return p != c.with }):
			out = append(out, entry{id: id, removed: true})
		}
	}
	if a.overlap && len(s.members) > 0 && r.IntN(2) == 0 {
		ids := slices.Sorted(maps.Keys(s.members))
		if id := ids[r.IntN(len(ids))]; last[id].id == "" {
			out = append(out, entry{id: id, etag: s.members[id].etag})
		}
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// serve shows an answer page by page, perhaps not to its end.
func (a *account) serve(ctx context.Context, q connector.Query, ans answer, yield func(connector.Page, error) bool) {
	a.mu.Lock()
	cut := a.dice.roll("cut "+q.Stream.String()).Float64() < a.weather.fail/4
	a.mu.Unlock()
	if cut {
		ans.entries = ans.entries[:len(ans.entries)/2]
	}
	for part := range slices.Chunk(ans.entries, a.page) {
		if err := a.meet(ctx, "page "+q.Stream.String()); err != nil {
			yield(connector.Page{}, err)
			return
		}
		page := connector.Page{Overlap: a.overlap}
		for _, e := range part {
			page.Resources = append(page.Resources, a.fetch(q, e, ans.listing))
		}
		if !yield(page, nil) || ctx.Err() != nil {
			return
		}
	}
	if cut {
		a.note("%s ends early", q.Stream)
		return
	}
	if q.Stream.Kind == connector.Calendars {
		a.flicker()
	}
	yield(connector.Page{Token: ans.token, Last: true, Listing: ans.listing, Overlap: a.overlap}, nil)
}

// fetch is one entry with its body as it is now.
func (a *account) fetch(q connector.Query, e entry, listing bool) connector.Resource {
	r := a.dice.roll("fetch " + q.Stream.String() + e.id)
	a.mu.Lock()
	defer a.mu.Unlock()
	if e.removed {
		return connector.Resource{ID: e.id, Presence: connector.Removed}
	}
	if q.Stream.Kind == connector.Calendars {
		return a.calendar(q.Stream, e)
	}
	if listing && e.etag != "" && !q.Needs(e.id, e.etag) {
		return connector.Resource{ID: e.id, Presence: connector.Listed, ETag: e.etag, Parent: a.parentOf(q.Stream, e.id)}
	}
	var m member
	there := e.ghost != nil
	if there {
		m = *e.ghost
	} else if s := a.shelfOf(q.Stream); s != nil {
		m, there = s.members[e.id]
	}
	switch {
	case !there, r.Float64() < a.weather.lose:
		return connector.Resource{ID: e.id, Presence: connector.Missing}
	case a.denies(q.Stream, e.id, r):
		return connector.Resource{ID: e.id, Presence: connector.Failed, Err: errDenied, Rows: []connector.Row{row(q.Stream, e.id, "", unreadable)}}
	}
	res := connector.Resource{ID: e.id, Presence: connector.Read, ETag: m.etag, Hash: connector.HashOf([]byte(m.body)), Parent: m.parent}
	rows := rowsOf(e.id, m)
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		res.Rows = append(res.Rows, row(q.Stream, id, m.etag, rows[id]))
	}
	return res
}

// denies tells whether a body is refused, as it will be for a while then. The caller holds mu.
func (a *account) denies(s connector.Stream, id string, r *rand.Rand) bool {
	if a.weather.deny == 0 {
		return false
	}
	k := rowKey{s, id}
	if until := a.denied[k]; time.Now().Before(until) {
		return true
	}
	if r.Float64() >= a.weather.deny {
		return false
	}
	a.denied[k] = time.Now().Add(time.Duration(r.Int64N(int64(time.Minute))))
	return true
}

// unreadable is what stands in place of a body that is refused.
const unreadable = "unreadable"

func (a *account) parentOf(s connector.Stream, id string) string {
	if shelf := a.shelfOf(s); shelf != nil {
		return shelf.members[id].parent
	}
	return ""
}

// Look implements connector.Account.
func (a *account) Look(ctx context.Context, s connector.Stream, ids []string) ([]connector.Presence, error) {
	if err := a.meet(ctx, "look "+s.String()); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]connector.Presence, len(ids))
	var failed error
	for i, id := range ids {
		if out[i] = a.look(s, id); out[i] == connector.Failed {
			failed = errDown
		}
		a.note("look at %s of %s: %d", id, s, out[i])
	}
	return out, failed
}

func (a *account) look(s connector.Stream, id string) connector.Presence {
	if s.Kind != connector.Calendars {
		if shelf := a.shelfOf(s); shelf != nil {
			if _, ok := shelf.members[id]; ok {
				return connector.Read
			}
		}
		return connector.Gone
	}
	r := a.dice.roll("vague " + s.String() + id)
	c, there := a.collections[id]
	switch vague := r.Float64() < a.weather.vague; {
	case vague && r.IntN(2) == 0:
		return connector.Failed
	case vague && there && c.hidden == "" && a.glitch(c):
		return connector.Gone
	case !there:
		return connector.Gone
	case c.hidden != "":
		return connector.Forbidden
	}
	return connector.Read
}

// glitch tells whether a look may say wrongly that the collection is gone: never twice running.
func (a *account) glitch(c *collection) bool {
	if time.Since(c.since) < 5*time.Minute {
		return false
	}
	c.since = time.Now()
	return true
}
