package verify

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// script makes records of one stream from short lines, so that a rule and its breach stand side by side:
//
//	begin 1 | reset 2 | end 2 COUNT | r ID TEXT | c ID TEXT | u ID OLD NEW | d ID OLD | t ID
func script(lines string) []Record {
	var out []Record
	epoch, snapshot := "0", false
	for i, line := range strings.Split(lines, "|") {
		w := append(strings.Fields(line), "", "", "")
		r := Record{Topic: "cal.work.events", Partition: 1, Offset: int64(i), Headers: map[string]string{}}
		r.Key = fmt.Appendf(nil, `{"source":"work","account":"alice","collection":"/a/","id":"%s"}`, w[1])
		switch w[0] {
		case "begin", "reset", "end":
			epoch, snapshot = w[1], w[0] != "end"
			r.Key = []byte(`{"source":"work","account":"alice","collection":"/a/","id":""}`)
			r.Headers = map[string]string{"calcdc.marker": "snapshot-" + w[0], "calcdc.epoch": epoch, "calcdc.reason": "x", "calcdc.count": w[2]}
		case "t":
		default:
			before, after := "null", "null"
			switch w[0] {
			case "r", "c":
				after = rowText(w[1], w[2])
			case "u":
				before, after = rowText(w[1], w[2]), rowText(w[1], w[3])
			case "d":
				before = rowText(w[1], w[2])
			}
			inside := strconv.FormatBool(snapshot && (w[0] == "r" || w[0] == "d"))
			r.Value = fmt.Appendf(nil, `{"before":%s,"after":%s,"op":"%s","ts_ms":5,"source":{"version":"1","connector":"caldav","name":"cal.work",`+
				`"ts_ms":5,"snapshot":"%s","db":"alice","table":"events","collection":"/a/","epoch":%s}}`, before, after, w[0], inside, epoch)
			r.Headers = map[string]string{"calcdc.op": w[0], "calcdc.epoch": epoch, "calcdc.id": fmt.Sprint(i)}
		}
		out = append(out, r)
	}
	return out
}

func rowText(id, text string) string {
	return fmt.Sprintf(`{"source":"work","account":"alice","collection":"/a/","id":"%s","summary":"%s"}`, id, text)
}

const opened = "begin 1 | r a 1 | r b 1 | end 1 2 |"

func TestFoldAcceptsWhatTheContractAllows(t *testing.T) {
	for name, lines := range map[string]string{
		"snapshot and changes": opened + "c c 1 | u a 1 2 | d b 1 | t b | c b 1",
		"reset":                opened + "reset 2 | r a 2 | d b 1 | t b | end 2 1 | u a 2 3",
		"changed in a reset":   opened + "reset 2 | r a 1 | r a 2 | r b 1 | end 2 2",
		"gone and back":        opened + "d a 1 | t a | d b 1 | t b | begin 2 | r a 1 | end 2 1",
		"gone in the snapshot": "begin 1 | r a 1 | d a 1 | t a | begin 2 | end 2 0",
	} {
		f := NewFold()
		for _, r := range script(lines) {
			f.Add(r)
		}
		if len(f.Faults) > 0 {
			t.Errorf("%s: %q", name, f.Faults)
		}
	}
}

func TestFoldOfBriefResets(t *testing.T) {
	for lines, fault := range map[string]string{
		opened + "reset 2 | c c 1 | u a 1 2 | d b 1 | t b | end 2 2": "",
		"begin 1 | c a 1 | end 1 1":                                  "c: in a snapshot true",
		"begin 1 | r a 1 | u a 1 2 | end 1 1":                        "u: in a snapshot true",
	} {
		f := NewFold()
		f.Brief = true
		for _, r := range script(lines) {
			f.Add(r)
		}
		if found := strings.Join(f.Faults, "\n"); (found != "") != (fault != "") || !strings.Contains(found, fault) {
			t.Errorf("%s: faults %q, want %q", lines, found, fault)
		}
	}
}

func TestFoldNamesEveryBreach(t *testing.T) {
	for lines, fault := range map[string]string{
		opened + "c a 2":                             "c of a row that is known",
		opened + "u c 1 2":                           "u of a row that is not known",
		opened + "u a 1 1":                           "u that changes nothing",
		opened + "u a 0 2":                           "before is not what was published last",
		opened + "d c 1 | t c":                       "d of a row that is not known",
		opened + "d a 0 | t a":                       "before is not what was published last",
		opened + "d a 1 | c c 1":                     "the tombstone of",
		opened + "t a":                               "a tombstone without its d",
		opened + "r a 2":                             "r outside a snapshot",
		opened + "reset 2 | r a 1 | r a 1":           "r twice in epoch 2",
		opened + "reset 2 | c c 1":                   "c: in a snapshot true",
		opened + "reset 2 | reset 3":                 "a reset while no snapshot has ended",
		opened + "reset 1":                           "snapshot-reset with epoch 1 after epoch 1",
		opened + "reset 3":                           "snapshot-reset with epoch 3 after epoch 1",
		opened + "begin 2":                           "a begin, and 2 rows are known",
		opened + "end 1 2":                           "an end without a begin or reset",
		"begin 1 | r a 1 | end 1 2":                  "an end counts 2 rows of 1",
		opened + "reset 2 | r a 1 | r b 1 | end 1 2": "an end of epoch 1 in epoch 2",
	} {
		f := NewFold()
		for _, r := range script(lines) {
			f.Add(r)
		}
		if !strings.Contains(strings.Join(f.Faults, "\n"), fault) {
			t.Errorf("%s: faults %q, want %q", lines, f.Faults, fault)
		}
	}
}

func TestFoldSeesForeignBytes(t *testing.T) {
	breaches := map[string]func(*Record){
		"the key's bytes are not stable":            func(r *Record) { r.Key = []byte(strings.ReplaceAll(string(r.Key), `":"`, `": "`)) },
		"the stream has records in partition 1 too": func(r *Record) { r.Partition = 0 },
		`calcdc.id "1" is that of`:                  func(r *Record) { r.Headers["calcdc.id"] = "1" },
		`calcdc.id "" is that of`:                   func(r *Record) { r.Headers["calcdc.id"] = "" },
		"header calcdc.op":                          func(r *Record) { r.Headers["calcdc.op"] = "d" },
		"epoch 1, header 7":                         func(r *Record) { r.Headers["calcdc.epoch"] = "7" },
		"the row names itself otherwise":            func(r *Record) { r.Value = []byte(strings.Replace(string(r.Value), `"id":"c"`, `"id":"e"`, 1)) },
		"the envelope's source is wrong":            func(r *Record) { r.Value = []byte(strings.Replace(string(r.Value), `"db":"alice"`, `"db":"bob"`, 1)) },
		"decoding the value":                        func(r *Record) { r.Value = r.Value[:len(r.Value)-1] },
	}
	for fault, breach := range breaches {
		f := NewFold()
		records := script(opened + "c c 1")
		breach(&records[4])
		for _, r := range records {
			f.Add(r)
		}
		if !strings.Contains(strings.Join(f.Faults, "\n"), fault) {
			t.Errorf("faults %q, want %q", f.Faults, fault)
		}
	}
}
