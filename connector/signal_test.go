package connector

import (
	"bytes"
	"strings"
	"testing"
)

func TestParseSignal(t *testing.T) {
	all := "no error"
	for value, want := range map[string]string{
		`{"id":"1","type":"execute-snapshot","data":{"data-collections":["cal.work.events"]}}`:                                                      all,
		`{"id":"1","type":"execute-snapshot","data":{"type":"INCREMENTAL","data-collections":["cal\\.work\\..*"]}}`:                                 all,
		`{"type":"execute-snapshot","data":{"type":"blocking","data-collections":["a"],"account":"x","collection":"/x/"}}`:                          all,
		`{"id":"1","type":"execute-snapshot","data":"{\"data-collections\":[\"cal.work.events\"]}"}`:                                                all,
		`{"id":"1","type":"execute-snapshot","data":{"data-collections":["a"],"surrogate-key":"k"}}`:                                                all,
		`{"id":"1","type":"execute-snapshot","data":{"data-collections":["a"],"additional-conditions":[{"filter":"x=1"}]}}`:                         "additional conditions",
		`{"id":"1","type":"execute-snapshot","data":{"data-collections":["a"],"additional-condition":"x=1"}}`:                                       "additional conditions",
		`{"id":"1","type":"execute-snapshot","data":{"type":"full","data-collections":["a"]}}`:                                                      "neither incremental nor blocking",
		`{"id":"1","type":"execute-snapshot","data":{"data-collections":[]}}`:                                                                       "names no data-collections",
		`{"id":"1","type":"execute-snapshot","data":{"data-collections":[""]}}`:                                                                     "0 bytes",
		`{"id":"1","type":"execute-snapshot","data":{"data-collections":["("]}}`:                                                                    "missing closing",
		`{"id":"1","type":"execute-snapshot","data":{"data-collections":["a"],"held-since-ms":1}}`:                                                  "for decisions",
		`{"id":"1","type":"approve-deletes","data":{"data-collections":["a"],"held-since-ms":1}}`:                                                   all,
		`{"id":"1","type":"execute-snapshot","data":{"data-collections":["cal.work.acl)|(.*"]}}`:                                                    "unexpected )",
		`{"id":"1","type":"execute-snapshot","data":{"data-collections":["(a{100}){10}"]}}`:                                                         all,
		`{"id":"1","type":"execute-snapshot","data":{"data-collections":["(ab{100}){10}","(bc{1000}){1}` + strings.Repeat("(a{1000})", 20) + `"]}}`: "too large together",
		`{"id":"1","type":"execute-snapshot","data":{"data-collections":["` + strings.Repeat("a", 501) + `"]}}`:                                     "501 bytes",
		`{"id":"1","type":"execute-snapshot","data":{"data-collections":["a"` + strings.Repeat(`,"a"`, 100) + `]}}`:                                 "101 data-collections",
		`{"id":"1","type":"execute-snapshot","data":{"data-collections":["a"],"account":"` + strings.Repeat("a", 5000) + `"}}`:                      "more than 4096",
		`{"id":"1","type":"execute-snapshot","data":{"data-collections":"a"}}`:                                                                      "its data",
		`{"id":"1","type":"execute-snapshot"}`:                                                                                                      "its data",
		`{"id":"1","type":"execute-snapshot","data":{"data-collections":["a"],"account":"` + strings.Repeat("a", maxSignal) + `"}`:                  "are more than",
		`{"id":"1","type":"stop-snapshot","data":{"data-collections":["a"]}}`:                                                                       "is none of execute-snapshot",
		`null`: "is none of",
		`[]`:   "cannot unmarshal",
		``:     "unexpected end",
	} {
		_, err := ParseSignal([]byte(value))
		if got := errText(err, all); !strings.Contains(got, want) {
			t.Errorf("%.100s: %s; want %s", value, got, want)
		}
	}
}

func errText(err error, none string) string {
	if err == nil {
		return none
	}
	return err.Error()
}

func TestSignalSelects(t *testing.T) {
	cfg := Config{TopicPrefix: "cal"}
	streams := []Stream{{"work", "alice", "/a/", Events}, {"work", "bob", "/a/", Events}, {"work", "alice", "/b/", Events},
		{"work", "alice", "", Calendars}, {"work", "alice", "/a/", ACL}, {"work", "alice", "", Settings}, {"team", "alice", "/a/", Events}}
	for _, c := range []struct {
		data string
		want string // by the streams' order
	}{
		{`"data-collections":["cal.work.events"]`, "1110000"},
		{`"data-collections":["cal.work.events"],"account":"alice"`, "1010000"},
		{`"data-collections":["cal.work.events"],"account":"alice","collection":"/a/"`, "1000000"},
		{`"data-collections":["cal\\.work\\..*"]`, "1111110"},
		{`"data-collections":["cal\\.work\\..*"],"collection":"/a/"`, "1100100"},
		{`"data-collections":[".*"]`, "1111111"},
		{`"data-collections":["cal.work.settings","cal.team.events"]`, "0000011"},
		{`"data-collections":["cal.work"]`, "0000000"},            // the whole of a name
		{`"data-collections":["calXwork.events"]`, "0000000"},     // a name, not a pattern
		{`"data-collections":["work|cal.work.acl"]`, "0000100"},   // each alternative is one of whole names
		{`"data-collections":["(?i)CAL.WORK.ACL"]`, "0000100"},    //
		{`"data-collections":["cal.work.events\n"]`, "0000000"},   //
		{`"data-collections":["^cal.work.events$"]`, "1110000"},   //
		{`"data-collections":["cal.work.events "]`, "0000000"},    //
		{`"data-collections":["cal.other.events"]`, "0000000"},    //
		{`"data-collections":["cal.work.events","("]`, "invalid"}, //
	} {
		s, err := ParseSignal([]byte(`{"id":"1","type":"execute-snapshot","data":{` + c.data + `}}`))
		got := ""
		for _, stream := range streams {
			if s.Selects(stream, cfg.DataTopic(stream)) {
				got += "1"
			} else {
				got += "0"
			}
		}
		if err != nil {
			got = "invalid"
		}
		if got != c.want {
			t.Errorf("%s selects %s, want %s", c.data, got, c.want)
		}
	}
}

func TestPositions(t *testing.T) {
	for _, c := range []struct {
		p, heeded Position
		want      bool
	}{
		{Position{5, 100}, Position{5, 100}, false},
		{Position{4, 100}, Position{5, 100}, false},
		{Position{6, 100}, Position{5, 100}, true},
		{Position{6, 90}, Position{5, 100}, true},  // a clock that went back: the offset tells
		{Position{0, 101}, Position{5, 100}, true}, // the topic was made anew
	} {
		if got := c.p.beyond(&c.heeded); got != c.want {
			t.Errorf("%v beyond %v: %v", c.p, c.heeded, got)
		}
	}
	if !(Position{}).beyond(nil) {
		t.Error("everything is beyond nothing")
	}
}

// FuzzParseSignal: whatever is written, it is refused or it says the same again when it is written again.
func FuzzParseSignal(f *testing.F) {
	f.Add([]byte(`{"id":"1","type":"execute-snapshot","data":{"type":"incremental","data-collections":["cal.work.events","cal\\.team\\..*"],"account":"alice","collection":"/a/"}}`))
	f.Add([]byte(`{"id":"1","type":"execute-snapshot","data":"{\"data-collections\":[\"cal.work.events\"]}"}`))
	f.Add([]byte(`{"type":"execute-snapshot","data":{"data-collections":["(a+)+$"],"account":"<\u0000"}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		s, err := ParseSignal(value)
		if err != nil {
			return
		}
		again, err := ParseSignal(s.Value())
		if err != nil {
			if len(value) < maxSignal/6 { // else escapes may make it too long
				t.Fatalf("%q: %v", s.Value(), err)
			}
			return
		}
		if !again.same(&s) || again.ID != s.ID || !bytes.Equal(again.Value(), s.Value()) {
			t.Fatalf("%+v came back as %+v", s, again)
		}
		stream := Stream{"work", "alice", "/a/", Events}
		if s.Selects(stream, "cal.work.events") != again.Selects(stream, "cal.work.events") {
			t.Fatal("it selects other streams")
		}
	})
}
