package offsets

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/connector"
)

// odd is a stream in which everything that may need an escape occurs.
var odd = connector.Stream{Source: `so"u\rce`, Account: "ü<&>@example.org", Collection: "/\x01\n\u2028/", Kind: connector.Calendars}

// TestGoldenKeys holds keys to their bytes for good: other bytes would be other records.
func TestGoldenKeys(t *testing.T) {
	tests := []struct {
		got  []byte
		want string
	}{
		{offsetKey("team", alice), `["team",{"source":"work","account":"alice","collection":"/alice/work/","stream":"events"}]`},
		{offsetKey("team", odd), `["team",{"source":"so\"u\\rce","account":"ü<&>@example.org","collection":"/\u0001\u000a` + "\u2028" + `/","stream":"calendars"}]`},
		{streamKey(alice), `["stream","work","alice","/alice/work/","events"]`},
		{idKey(statePrefix(resourceEntity, alice), "/a%20ü.ics"), `["resource","work","alice","/alice/work/","events","/a%20ü.ics"]`},
		{idKey(statePrefix(rowEntity, alice), `a#"\`), `["row","work","alice","/alice/work/","events","a#\"\\"]`},
		{barrierKey, `["barrier"]`},
	}
	for _, tt := range tests {
		if string(tt.got) != tt.want {
			t.Errorf("got  %s\nwant %s", tt.got, tt.want)
		}
		if !json.Valid(tt.got) {
			t.Errorf("%s is not JSON", tt.got)
		}
	}
	for _, s := range []connector.Stream{alice, odd} {
		if got, canonical, err := parseOffsetKey("team", offsetKey("team", s)); got != s || !canonical || err != nil {
			t.Errorf("%+v came back as %+v, %v, %v", s, got, canonical, err)
		}
		var keys stateKeys
		for range 2 { // the second time by the prefix
			e, got, id, err := keys.parse(idKey(statePrefix(rowEntity, s), "i\"d\x02"))
			if e != rowEntity || got != s || id != "i\"d\x02" || err != nil {
				t.Errorf("%+v came back as %v %+v %q %v", s, e, got, id, err)
			}
			if _, _, id, err := keys.parse(idKey(statePrefix(rowEntity, s), "plain")); id != "plain" || err != nil {
				t.Errorf("got %q, %v", id, err)
			}
		}
	}
}

func TestGoldenOffset(t *testing.T) {
	tests := []struct {
		offset connector.Offset
		want   string
	}{
		{connector.Offset{Token: "http://x/<1>&\"", Epoch: 2, ConfigHash: "ab", ReconciledMs: 3, CommittedMs: 4},
			`{"sync_token":"http://x/<1>&\"","epoch":2,"config_hash":"ab","reconciled_ms":3,"committed_ms":4}`},
		{connector.Offset{Epoch: 1}, `{"sync_token":null,"epoch":1,"config_hash":"","reconciled_ms":0,"committed_ms":0}`},
	}
	for _, tt := range tests {
		got := encodeOffset(tt.offset)
		if string(got) != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
		if back, err := parseOffset(got); err != nil || *back != tt.offset {
			t.Errorf("came back as %+v, %v", back, err)
		}
	}
	if o, err := parseOffset([]byte(` { "epoch":3, "other":[1], "sync_token":"t" } `)); err != nil || o.Token != "t" || o.Epoch != 3 {
		t.Errorf("an operator's: %+v, %v", o, err)
	}
	if o, err := parseOffset([]byte("null")); o != nil || err != nil {
		t.Errorf("null: %+v, %v", o, err)
	}
	for _, bad := range []string{"", "[]", `{"epoch":-1}`, `{"epoch":"1"}`, `{"sync_token":1}`, `{}{}`, `{"config_hash":"` + strings.Repeat("x", maxOffset) + `"}`} {
		if _, err := parseOffset([]byte(bad)); err == nil {
			t.Errorf("%.40q was taken", bad)
		}
	}
}

// Values that an earlier version has written; they must be readable for good.
const (
	goldenState    = `{"epoch":3,"phase":"streaming","partition":5,"commit":17,"resources":1,"rows":2,"row_version":1,"key_format":"json","data_end":40,"compares":6,"reason":"requested"}`
	goldenResource = "0101" + "000102030405060708090a0b0c0d0e0f" + "ac02" + "03226522" + "02" + "030100" + "03010523" + "32303236"
	goldenNone     = "01" + "000102030405060708090a0b0c0d0e0f" + "00"
	goldenPlain    = "01" + "000102030405060708090a0b0c0d0e0f" + "01" + "7b7d"
	goldenS2       = "01" + "000102030405060708090a0b0c0d0e0f" + "02" + goldenS2Body
	goldenDict     = "f140f76dcce8328a22435de62ba2c1c475f79159f5df8453672ee068f1c26f7a"
	goldenS2Body   = "8801dd6b0c776f726b326f0610616c69636542740624616c6963652f776f726bd57f0078d5800078c1811500280c756c6c7d"
	goldenChild    = "0102000102030405060708090a0b0c0d0e0f0100017301000300"
	goldenBody     = `{"source":"work","account":"alice","collection":"/alice/work/","id":"x","uid":"x","kind":"single","series_id":null,"recurrence_id":null}`
)

func TestGoldenValues(t *testing.T) {
	hash := connector.Hash{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	state := connector.StreamState{Epoch: 3, Phase: connector.Streaming, Partition: 5, Commit: 17, Resources: 1, Rows: 2, RowVersion: 1,
		KeyFormat: "json", DataEnd: 40, Compares: 6, Reason: "requested"}
	if got, err := encodeState(state); err != nil || string(got) != goldenState {
		t.Errorf("state: %s, %v", got, err)
	}
	if got, err := parseState([]byte(goldenState)); err != nil || got != state {
		t.Errorf("state came back as %+v, %v", got, err)
	}
	resource := connector.ResourceState{ETag: `"e"`, Unknown: true, Hash: hash, Epoch: 300, Rows: []string{"a", "a#2026"}}
	if got := hex.EncodeToString(encodeResource("/x/a.ics", &resource)); got != goldenResource {
		t.Errorf("resource: %s", got)
	}
	if got, err := parseResource("/x/a.ics", string(unhex(t, goldenResource))); err != nil || !reflect.DeepEqual(got, resource) {
		t.Errorf("resource came back as %+v, %v", got, err)
	}
	child := connector.ResourceState{Hash: hash, Epoch: 1, Parent: "s", Rows: []string{"s_1"}}
	if got := hex.EncodeToString(encodeResource("s_1", &child)); got != goldenChild {
		t.Errorf("child: %s", got)
	}
	if got, err := parseResource("s_1", string(unhex(t, goldenChild))); err != nil || !reflect.DeepEqual(got, child) {
		t.Errorf("child came back as %+v, %v", got, err)
	}
	var scratch []byte
	for want, body := range map[string]string{goldenNone: "", goldenPlain: "{}", goldenS2: goldenBody} {
		got := encodeRow(&connector.RowChange{Hash: hash, Body: []byte(body)}, &scratch)
		if want != goldenS2 && hex.EncodeToString(got) != want { // S2's encoder may improve, what it wrote stays readable
			t.Errorf("row: %x", got)
		}
		for _, value := range [][]byte{got, unhex(t, want)} {
			back, err := parseBody(value[rowHead-1:])
			if checkRow(value) != nil || err != nil || string(back) != body || rowHash(string(value)) != hash {
				t.Errorf("row %x came back as %q, %v", value, back, err)
			}
		}
		if got := encodeRow(&connector.RowChange{Hash: hash}, &scratch); hex.EncodeToString(got) != goldenNone {
			t.Errorf("a body was kept: %x", got)
		}
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(rowDict)); got != goldenDict {
		t.Errorf("the dictionary has changed (%s): rows kept with it cannot be read any more", got)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBodies(t *testing.T) {
	for _, body := range [][]byte{sampleRow(1).JSON, bytes.Repeat([]byte("x"), maxBody), []byte("\x00")} {
		got, err := parseBody(appendBody(nil, body))
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("a body of %d bytes came back as %d, %v", len(body), len(got), err)
		}
	}
	if got := appendBody(nil, make([]byte, maxBody+1)); len(got) != 1 {
		t.Error("a body too long was kept")
	}
	hostile := []byte{formS2, 0xff, 0xff, 0xff, 0xff, 0x0f, 0}
	if _, err := parseBody(hostile); err == nil {
		t.Error("a body of 4 GiB was begun")
	}
}

func TestList(t *testing.T) {
	k := filled(t, connector.Streaming, keyFormat)
	k.write("team-offsets", string(offsetKey("team", odd)), `{"epoch":1}`)
	gone := alice
	gone.Collection = "/alice/gone/"
	k.write("team-state", string(streamKey(gone)), `{"phase":"removed","key_format":"json"}`)
	entries, err := List(t.Context(), k, "team", 2)
	if err != nil || len(entries) != 3 || entries[0].Stream != odd || entries[1].Stream != gone || entries[2].Stream != alice {
		t.Fatalf("got %+v, %v", entries, err)
	}
	if e := entries[2]; e.State.Rows != 2 || e.Offset.Token != "t" {
		t.Errorf("got %+v", e)
	}
	got, err := json.Marshal(Export{entries[1:]})
	const want = `{"offsets":[{"partition":{"source":"work","account":"alice","collection":"/alice/work/","stream":"events"},` +
		`"offset":{"sync_token":"t","epoch":4,"config_hash":"","reconciled_ms":0,"committed_ms":1}}]}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	if got, _ := json.Marshal(Export{}); string(got) != `{"offsets":[]}` {
		t.Errorf("none: %s", got)
	}
}

// The index knows whose child a resource is through every change of it.
func TestChildren(t *testing.T) {
	f, keys := newFold("team", true), &stateKeys{}
	put := func(id, parent string) {
		t.Helper()
		r := connector.ResourceState{ETag: "e", Parent: parent, Rows: []string{id}}
		if err := f.addState(nil, keys, idKey(statePrefix(resourceEntity, alice), id), encodeResource(id, &r)); err != nil {
			t.Fatal(err)
		}
	}
	put("s", "")
	put("s_2", "s")
	put("s_1", "s")
	put("t_1", "t")
	put("s_1", "s")
	x := f.streams[alice].index.(*memory)
	if got := x.Children("s"); !slices.Equal(got, []string{"s_1", "s_2"}) {
		t.Errorf("children of s: %q", got)
	}
	put("s_2", "t")
	put("t_1", "")
	if got := x.Children("t"); !slices.Equal(got, []string{"s_2"}) {
		t.Errorf("children of t: %q", got)
	}
	for _, id := range []string{"s_1", "s_2", "s_3"} {
		if err := f.addState(nil, keys, idKey(statePrefix(resourceEntity, alice), id), nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(x.children) != 0 {
		t.Errorf("left: %v", x.children)
	}
}
