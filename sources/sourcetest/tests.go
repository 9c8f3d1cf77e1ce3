package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/calcdc/calcdc/connector"
)

func connects(t *testing.T, f Fixture) {
	if err := f.Account.Connect(t.Context()); err != nil {
		t.Fatalf("connecting: %v", err)
	}
	one := f.Account.ConfigHash(connector.Events)
	if one == "" {
		t.Error("connected, and no hash")
	}
	if err := f.Account.Connect(t.Context()); err != nil || f.Account.ConfigHash(connector.Events) != one {
		t.Errorf("connecting again: %v, %q, want %q", err, f.Account.ConfigHash(connector.Events), one)
	}
	if f.Account.Name() == "" {
		t.Error("the account has no name")
	}
}

func empty(t *testing.T, f Fixture) {
	s := poll(t, f, connector.Query{Stream: f.Events})
	s.want(t, map[string]connector.Presence{})
	poll(t, f, connector.Query{Stream: f.Events, Token: s.token}).want(t, map[string]connector.Presence{})
}

func lists(t *testing.T, f Fixture) {
	fill(t, f, few)
	s := poll(t, f, connector.Query{Stream: f.Events})
	if len(s.order) != few {
		t.Errorf("%d resources shown, want %d", len(s.order), few)
	}
	for i := range few {
		r := s.resources[f.ID(name(i))]
		if r.Presence != connector.Read || len(r.Rows) != 1 || !bytes.Contains(r.Rows[0].JSON, []byte("text of ")) {
			t.Errorf("%s: %+v", name(i), r)
		}
	}
}

func pages(t *testing.T, f Fixture) {
	fill(t, f, many)
	one, two := poll(t, f, connector.Query{Stream: f.Events}), poll(t, f, connector.Query{Stream: f.Events, Fresh: true})
	for _, s := range []shown{one, two} {
		if len(s.resources) != many || len(s.order) != many {
			t.Errorf("%d resources, %d different ones, want %d", len(s.order), len(s.resources), many)
		}
		if s.pages < many/maxPage {
			t.Errorf("%d pages", s.pages)
		}
	}
}

func needs(t *testing.T, f Fixture) {
	fill(t, f, few)
	wanted := f.ID(name(2))
	s := poll(t, f, connector.Query{Stream: f.Events, Needs: func(id, _ string) bool { return id == wanted }})
	for i := range few {
		id, want := f.ID(name(i)), connector.Listed
		if id == wanted {
			want = connector.Read
		}
		if got := s.resources[id].Presence; got != want {
			t.Errorf("%s: presence %d, want %d", id, got, want)
		}
	}
}

func delta(t *testing.T, f Fixture) {
	fill(t, f, few)
	s := poll(t, f, connector.Query{Stream: f.Events})
	f.Put(t, name(1), "another text")
	f.Put(t, name(few), "a new one")
	d := poll(t, f, connector.Query{Stream: f.Events, Token: s.token, Needs: known(s)})
	for _, n := range []string{name(1), name(few)} {
		if got := d.resources[f.ID(n)].Presence; got != connector.Read {
			t.Errorf("%s: presence %d", n, got)
		}
	}
	if !strings.Contains(string(d.resources[f.ID(name(1))].Rows[0].JSON), "another text") {
		t.Error("the change is not in the row")
	}
	if d.resources[f.ID(name(1))].Hash == s.resources[f.ID(name(1))].Hash {
		t.Error("a changed resource kept its hash")
	}
	if d.token == s.token && !f.Constant {
		t.Error("the token did not move")
	}
}

// known makes a Needs that wants what differs from an earlier poll.
func known(s shown) func(id, etag string) bool {
	return func(id, etag string) bool {
		r, ok := s.resources[id]
		return !ok || etag == "" || r.ETag != etag
	}
}

func removal(t *testing.T, f Fixture) {
	fill(t, f, few)
	s := poll(t, f, connector.Query{Stream: f.Events})
	f.Delete(t, name(3))
	d := poll(t, f, connector.Query{Stream: f.Events, Token: s.token, Needs: known(s)})
	r, ok := d.resources[f.ID(name(3))]
	if d.listing && ok || !d.listing && r.Presence != connector.Removed {
		t.Errorf("the removed object: %+v, shown %v, in a listing %v", r, ok, d.listing)
	}
	poll(t, f, connector.Query{Stream: f.Events, Token: d.token, Needs: known(s)})
}

func repeats(t *testing.T, f Fixture) {
	fill(t, f, few)
	s := poll(t, f, connector.Query{Stream: f.Events})
	f.Put(t, name(0), "changed")
	f.Delete(t, name(1))
	one := poll(t, f, connector.Query{Stream: f.Events, Token: s.token, Needs: known(s)})
	two := poll(t, f, connector.Query{Stream: f.Events, Token: s.token, Needs: known(s)})
	if len(one.resources) != len(two.resources) {
		t.Errorf("%d resources, then %d", len(one.resources), len(two.resources))
	}
	for id, r := range one.resources {
		if o := two.resources[id]; o.Presence != r.Presence || o.Hash != r.Hash {
			t.Errorf("%s: %d, then %d", id, r.Presence, o.Presence)
		}
	}
}

func together(t *testing.T, f Fixture) {
	fill(t, f, many)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := try(t, f, connector.Query{Stream: f.Events})
			if err != nil || len(s.resources) != many {
				t.Errorf("%d resources, %v", len(s.resources), err)
			}
		})
	}
	wg.Wait()
}

func fresh(t *testing.T, f Fixture) {
	fill(t, f, few)
	one, two := poll(t, f, connector.Query{Stream: f.Events}), poll(t, f, connector.Query{Stream: f.Events, Fresh: true})
	for id, r := range one.resources {
		if o := two.resources[id]; o.Hash != r.Hash || o.ETag != r.ETag || len(o.Rows) != 1 || o.Rows[0].Hash != r.Rows[0].Hash {
			t.Errorf("%s differs: %+v, %+v", id, r, o)
		}
	}
}

func pending(t *testing.T, f Fixture) {
	fill(t, f, few)
	s := poll(t, f, connector.Query{Stream: f.Events})
	there, not := f.ID(name(2)), f.ID("never-there")
	d := poll(t, f, connector.Query{Stream: f.Events, Token: s.token, Pending: []string{there, not}, Needs: known(s)})
	if got := d.resources[there].Presence; got != connector.Read {
		t.Errorf("pending and there: presence %d", got)
	}
	if got, ok := d.resources[not]; ok && got.Presence != connector.Missing || !ok && !d.listing {
		t.Errorf("pending and not there: %+v", got)
	}
}

func forgotten(t *testing.T, f Fixture) {
	if f.Forget == nil {
		return // it can only list: there is no token to forget
	}
	fill(t, f, few)
	s := poll(t, f, connector.Query{Stream: f.Events})
	f.Forget(t)
	_, err := try(t, f, connector.Query{Stream: f.Events, Token: s.token})
	if !errors.Is(err, connector.ErrTokenInvalid) {
		t.Fatalf("a forgotten token: %v", err)
	}
	s = poll(t, f, connector.Query{Stream: f.Events})
	if len(s.resources) != few {
		t.Errorf("%d resources after it", len(s.resources))
	}
}

func broken(t *testing.T, f Fixture) {
	fill(t, f, few)
	s := poll(t, f, connector.Query{Stream: f.Events})
	f.Break(t)
	for _, token := range []string{"", s.token} {
		b, err := try(t, f, connector.Query{Stream: f.Events, Token: token})
		if err == nil || b.token != "" || errors.Is(err, connector.ErrTokenInvalid) || errors.Is(err, connector.ErrGone) {
			t.Errorf("token %q: %v, %+v", token, err, b)
		}
	}
	if _, err := f.Account.Look(t.Context(), f.Events, []string{f.ID(name(1))}); err == nil {
		t.Error("looking did not fail")
	}
	f.Mend(t)
	poll(t, f, connector.Query{Stream: f.Events, Token: s.token})
}

func stops(t *testing.T, f Fixture) {
	fill(t, f, many)
	for _, q := range []connector.Query{{}, {Fresh: true}} {
		q.Stream, q.Needs = f.Events, func(string, string) bool { return true }
		n := 0
		for _, err := range f.Account.Poll(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			n++
			break
		}
		if n != 1 {
			t.Errorf("%d pages", n)
		}
	}
}

func cancels(t *testing.T, f Fixture) {
	fill(t, f, many)
	ctx, cancel := context.WithCancel(t.Context())
	var last error
	for page, err := range f.Account.Poll(ctx, connector.Query{Stream: f.Events, Needs: func(string, string) bool { return true }}) {
		cancel()
		last = err
		if page.Last {
			break // everything was read before it was cancelled
		}
	}
	if last != nil && !errors.Is(last, context.Canceled) {
		t.Errorf("after cancelling: %v", last)
	}
	cancel()
	for page, err := range f.Account.Poll(ctx, connector.Query{Stream: f.Events, Needs: func(string, string) bool { return true }}) {
		if !errors.Is(err, context.Canceled) || page.Last {
			t.Errorf("polling when cancelled: %+v, %v", page, err)
		}
	}
}

func looks(t *testing.T, f Fixture) {
	fill(t, f, few)
	f.Delete(t, name(1))
	ids := []string{f.ID(name(0)), f.ID(name(1)), f.ID("never-there"), f.ID(name(4))}
	got, err := f.Account.Look(t.Context(), f.Events, ids)
	if err != nil {
		t.Fatal(err)
	}
	want := []connector.Presence{connector.Read, connector.Gone, connector.Gone, connector.Read}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: presence %d, want %d", ids[i], got[i], want[i])
		}
	}
	if got, err := f.Account.Look(t.Context(), f.Events, ids[1:3]); err != nil || got[0] != connector.Gone || got[1] != connector.Gone {
		t.Errorf("none of them there: %v, %v", got, err)
	}
}

// homeOf is the account's calendars stream.
func homeOf(f Fixture) connector.Stream {
	return connector.Stream{Source: f.Events.Source, Account: f.Events.Account, Kind: connector.Calendars}
}

func calendars(t *testing.T, f Fixture) {
	one := poll(t, f, connector.Query{Stream: homeOf(f)})
	r, ok := one.resources[f.Events.Collection]
	if !ok || r.Presence != connector.Read || len(r.Rows) != 1 {
		t.Fatalf("the collection: %+v", r)
	}
	f.Put(t, name(0), "something")
	two := poll(t, f, connector.Query{Stream: homeOf(f)})
	after := two.resources[f.Events.Collection]
	if after.Rows[0].Hash != r.Rows[0].Hash || one.token != two.token && !f.FreshTokens {
		t.Error("the row or the token changes with the collection's contents")
	}
	if r.Hint.Value != "" && after.Hint.Value == r.Hint.Value && r.Hint.Coarse == 0 {
		t.Error("the hint does not change with the collection's contents")
	}
}

func gone(t *testing.T, f Fixture) {
	if f.RemoveCollection == nil {
		return // it is there for as long as the account is
	}
	fill(t, f, few)
	s := poll(t, f, connector.Query{Stream: f.Events})
	f.RemoveCollection(t)
	for _, token := range []string{"", s.token} {
		if _, err := try(t, f, connector.Query{Stream: f.Events, Token: token}); err == nil || errors.Is(err, connector.ErrTokenInvalid) && token == "" {
			t.Errorf("token %q: %v", token, err)
		}
	}
	if _, err := try(t, f, connector.Query{Stream: f.Events}); !errors.Is(err, connector.ErrGone) {
		t.Errorf("listing what is gone: %v", err)
	}
	home := poll(t, f, connector.Query{Stream: homeOf(f)})
	if _, ok := home.resources[f.Events.Collection]; ok {
		t.Error("the home still lists it")
	}
	got, err := f.Account.Look(t.Context(), homeOf(f), []string{f.Events.Collection})
	if err != nil || len(got) != 1 || got[0] != connector.Gone {
		t.Errorf("looking for it: %v, %v", got, err)
	}
}
