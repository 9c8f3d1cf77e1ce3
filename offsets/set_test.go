package offsets

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/connector"
)

func TestEffects(t *testing.T) {
	state := func(change func(*connector.StreamState)) *connector.StreamState {
		s := &connector.StreamState{Epoch: 4, Phase: connector.Streaming, KeyFormat: keyFormat}
		if change != nil {
			change(s)
		}
		return s
	}
	calendars := connector.Stream{Source: "work", Account: "alice", Kind: connector.Calendars}
	for _, tt := range []struct {
		name   string
		stream connector.Stream
		state  *connector.StreamState
		now    *connector.Offset
		set    *connector.Offset
		want   Effect
		err    string
	}{
		{"a token", alice, state(nil), &connector.Offset{Token: "t", Epoch: 4}, &connector.Offset{Token: "u", Epoch: 4}, GoesOn, ""},
		{"the same", alice, state(nil), &connector.Offset{Token: "t", Epoch: 4}, &connector.Offset{Token: "t", Epoch: 4}, Unchanged, ""},
		{"after a reset that was asked for", alice, state(nil), nil, &connector.Offset{Token: "t", Epoch: 4}, GoesOn, ""},
		{"a null token", alice, state(nil), &connector.Offset{Token: "t", Epoch: 4}, &connector.Offset{Epoch: 9}, ReadAnew, ""},
		{"forgotten", alice, state(nil), &connector.Offset{Token: "t", Epoch: 4}, nil, ReadAnew, ""},
		{"nothing else known", alice, nil, nil, &connector.Offset{Token: "t", Epoch: 9}, NotKnown, ""},
		{"nothing to forget", alice, nil, nil, nil, "", "nothing is committed"},
		{"an offset alone forgotten", alice, nil, &connector.Offset{Token: "t", Epoch: 4}, nil, "", "no longer be known"},
		{"an epoch that goes back", alice, state(nil), nil, &connector.Offset{Token: "t", Epoch: 3}, "", "epoch 3 is below 4"},
		{"below the offset's", alice, nil, &connector.Offset{Epoch: 7}, &connector.Offset{Token: "t", Epoch: 6}, "", "epoch 6 is below 7"},
		{"an epoch without a snapshot", alice, state(nil), nil, &connector.Offset{Token: "t", Epoch: 5}, "", "begins with a snapshot"},
		{"in a snapshot", alice, state(func(s *connector.StreamState) { s.Phase = connector.Snapshot }), nil, &connector.Offset{Token: "t", Epoch: 4}, "", "in progress"},
		{"gone", alice, state(func(s *connector.StreamState) { s.Phase = connector.RemovedAll }), nil, &connector.Offset{Token: "t", Epoch: 4}, "", "gone"},
		{"a reset due", alice, state(func(s *connector.StreamState) { s.Due = connector.TopicLost }), nil, &connector.Offset{Token: "t", Epoch: 4}, "", "topic-lost"},
		{"being mended", alice, state(func(s *connector.StreamState) { s.Mending = connector.StateLost }), nil, &connector.Offset{Token: "t", Epoch: 4}, "", "state-lost"},
		{"another format", alice, state(func(s *connector.StreamState) { s.KeyFormat = "x" }), nil, &connector.Offset{Token: "t", Epoch: 4}, "", "format"},
		{"no collection", connector.Stream{Source: "work", Account: "alice", Kind: connector.Events}, nil, nil, &connector.Offset{Token: "t"}, "", "name it"},
		{"no kind", connector.Stream{Source: "work", Account: "alice", Kind: "x"}, nil, nil, &connector.Offset{Token: "t"}, "", "no kind"},
		{"no account", connector.Stream{Source: "work", Kind: connector.Calendars}, nil, nil, &connector.Offset{Token: "t"}, "", "must be named"},
		{"calendars", calendars, nil, nil, &connector.Offset{Token: "t"}, NotKnown, ""},
		{"a token that is no text", alice, state(nil), nil, &connector.Offset{Token: "\xff", Epoch: 4}, "", "cannot be kept"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Entry{Stream: tt.stream, State: tt.state, Offset: tt.now}.Effect(Change{tt.stream, tt.set})
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// TestSet: what is set is what the next owner finds; where one change makes no sense, none is made.
func TestSet(t *testing.T) {
	k := filled(t, connector.Streaming, keyFormat)
	l, _ := loaded(t, k)
	bob := connector.Stream{Source: "work", Account: "bob", Collection: "/b/", Kind: connector.Events}
	good := Change{alice, &connector.Offset{Token: "new", Epoch: 4, ReconciledMs: 1, CommittedMs: 2}}
	if err := l.Set(t.Context(), good, Change{bob, nil}); err == nil || l.Open(alice).Offset.Token != "t" {
		t.Errorf("got %v, %+v", err, l.Open(alice).Offset)
	}
	if err := l.Set(t.Context(), good, Change{bob, &connector.Offset{Token: "x", Epoch: 3}}); err != nil {
		t.Fatal(err)
	}
	l, all := loaded(t, k)
	if cp := all[alice]; *cp.Offset != *good.Offset || cp.State.Epoch != 4 || cp.Lost != nil {
		t.Errorf("got %+v", cp)
	}
	if cp := all[bob]; cp.Lost == nil {
		t.Errorf("got %+v", cp)
	} else if cp, err := l.Mend(t.Context(), bob); err != nil || cp.State.Epoch != 3 || cp.State.Due != connector.StateLost {
		t.Errorf("got %+v, %v", cp, err)
	}
	if err := l.Set(t.Context(), Change{alice, &connector.Offset{Epoch: 9}}); err != nil {
		t.Fatal(err)
	}
	if _, all = loaded(t, k); all[alice].State.Epoch != 9 || all[alice].Offset.Token != "" || all[alice].State.Rows != 2 {
		t.Errorf("got %+v %+v", all[alice].State, all[alice].Offset)
	}
}

// TestImport: what Export writes comes back; everything else is refused.
func TestImport(t *testing.T) {
	e := Export{Entries: []Entry{
		{Stream: alice, Offset: &connector.Offset{Token: "t<&>", Epoch: 3, ConfigHash: "h", ReconciledMs: 1, CommittedMs: 2}},
		{Stream: connector.Stream{Source: "work", Account: "alice", Kind: connector.Calendars}, Offset: &connector.Offset{Epoch: 1}},
	}}
	out, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := Import(bytes.NewReader(out))
	if err != nil || len(changes) != 2 {
		t.Fatalf("got %v, %v", changes, err)
	}
	for i, c := range changes {
		if c.Stream != e.Entries[i].Stream || !reflect.DeepEqual(c.Offset, e.Entries[i].Offset) {
			t.Errorf("got %+v, want %+v", c, e.Entries[i])
		}
	}
	const partition = `{"partition":{"source":"work","account":"alice","collection":"/x/","stream":"events"}`
	for text, want := range map[string]string{
		`{"offsets":[` + partition + `,"offset":{"token":"x"}}]}`:                                       `unknown field "token"`,
		`{"name":"x","offsets":[]}`:                                                                     `unknown field "name"`,
		`{"offsets":[{"partition":{"server":"x"},"offset":{}}]}`:                                        `unknown field "server"`,
		`{"offsets":[{"offset":{"sync_token":"x"}}]}`:                                                   "has no partition",
		`{"offsets":[{"partition":{"source":"work"},"offset":{}}]}`:                                     "no kind",
		`{"offsets":[` + partition + `,"offset":{"epoch":-1}}]}`:                                        "negative",
		`{"offsets":[` + partition + `,"offset":{"epoch":1}},` + partition + `,"offset":{"epoch":1}}]}`: "twice",
		`{"offsets":[` + partition + `,"offset":null}]} {}`:                                             "something follows",
		`{"offsets":[` + partition + `,"offset":{"epoch":"1"}}]}`:                                       "a JSON string, which cannot stand there",
		`[]`:               "at byte 1 there is a JSON array",
		`{}`:               `no list of "offsets"`,
		`null`:             `no list of "offsets"`,
		`{"offsets":null}`: `no list of "offsets"`,
		``:                 "EOF",
	} {
		if _, err := Import(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	if got, err := Import(strings.NewReader(`{"offsets":[]}`)); err != nil || len(got) != 0 { // as of a connector that has not begun
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := Import(strings.NewReader(`{"offsets":[` + partition + `,"offset":null}]}`)); err != nil || got[0].Offset != nil {
		t.Errorf("got %v, %v", got, err)
	}
}
