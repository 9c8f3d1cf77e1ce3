//go:build integration

package faults

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/rig"
)

// refused tells whether the metrics show the stream as one that cannot go on.
func (in *instance) refused(user, path string) bool {
	n, _ := in.metrics().Sum("calcdc_stream_state", rig.Label("account", user), rig.Label("collection", path), rig.Label("state", "refused"))
	return n == 1
}

// A record larger than its topic takes stops its stream, and none other; the log names the setting to raise, and once
// that is raised the stream goes on by itself.
func TestOversizedRecord(t *testing.T) {
	t.Parallel()
	cal := newCalendars(t, davserver.Options{}, "alice")
	cal.fill("alice", "big", 3)
	cal.fill("alice", "witness", 3)
	in := newInstance(t, testenv.Env(t, testenv.EnvKafka), "kafka: {brokers: ["+testenv.Env(t, testenv.EnvKafka)+
		"], topic_prefix: NAME, topics: {partitions: 3, config: {max.message.bytes: 50000}}}\n", upstream{name: "work", cal: cal, users: []string{"alice"}})
	in.start()
	in.settle()
	noise := make([]byte, 100<<10)
	rng := rand.NewChaCha8([32]byte{7})
	_, _ = rng.Read(noise)
	var folded strings.Builder
	for text := hex.EncodeToString(noise); text != ""; text = text[min(70, len(text)):] {
		folded.WriteString(text[:min(70, len(text))] + "\n ")
	}
	cal.Put("alice", "big", "huge.ics", event("huge", "\n "+folded.String()+"end"))
	cal.stir("alice", "big")
	path := cal.Path("alice", "big")
	eventually(t, inTime, "the stream is refused", func() string {
		if !in.refused("alice", path) {
			return "it is not"
		}
		return ""
	})
	cal.stir("alice", "witness")
	eventually(t, inTime, "the other stream goes on", func() string {
		in.catchUp()
		return behind(in, cal, "alice", "witness")
	})
	raise := regexp.MustCompile(`--entity-name (\S+) --add-config max\.message\.bytes=(\d+)`)
	o, raised := newOperator(t, in.brokers), 0
	eventually(t, inTime, "it goes on when what the log says is done", func() string {
		log, err := os.ReadFile(in.log())
		if err != nil {
			t.Fatal(err)
		}
		said := raise.FindAllSubmatch(log, -1)
		for topics := map[string]bool{}; len(said) > 0; said = said[:len(said)-1] {
			last := said[len(said)-1]
			if topic := string(last[1]); !topics[topic] && len(said) > raised {
				topics[topic] = true
				o.set(topic, "max.message.bytes", string(last[2]))
			}
		}
		raised = len(raise.FindAllSubmatch(log, -1))
		in.catchUp()
		return strings.Join(head(in.differences()), "\n")
	})
	if raised == 0 {
		t.Error("nothing had to be raised")
	}
	in.settle()
	if in.refused("alice", path) {
		t.Error("the metrics show it as refused still")
	}
	if s := in.stream("work", "alice", path); len(s.Markers) != 2 {
		t.Errorf("%+v", s.Markers)
	}
	in.quiet()
	in.run.Stop()
}

// A reset of one stream is asked for while calcdc runs: it comes once, and to that stream alone.
func TestResetWhileRunning(t *testing.T) {
	t.Parallel()
	cal := newCalendars(t, davserver.Options{}, "alice")
	cal.fill("alice", "one", 4)
	cal.fill("alice", "two", 4)
	in := newInstance(t, testenv.Env(t, testenv.EnvKafka), "", upstream{name: "work", cal: cal, users: []string{"alice"}})
	in.start()
	in.settle()
	out, code := command(t.Context(), t, in.config(), "offsets", "reset", "--source", "work", "--account", "alice", "--collection", cal.Path("alice", "one"))
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	cal.stir("alice", "two")
	one := in.stream("work", "alice", cal.Path("alice", "one"))
	eventually(t, inTime, "the reset", func() string {
		in.run.Alive()
		in.catchUp()
		if len(one.Markers) < 4 {
			return fmt.Sprint(one.Markers)
		}
		return ""
	})
	in.settle()
	in.quiet()
	if m := one.Markers; len(m) != 4 || m[2].Type != "snapshot-reset" || m[2].Reason != "requested" || m[3].Epoch != 2 || one.Ops["r"] != 8 {
		t.Errorf("%+v %v", m, one.Ops)
	}
	if two := in.stream("work", "alice", cal.Path("alice", "two")); len(two.Markers) != 2 {
		t.Errorf("%+v", two.Markers)
	}
	in.run.Stop()
}

// Offsets are exported, set and imported while calcdc runs: an older token shows again what was published, and nothing is published twice;
// an epoch makes one stream be read anew, above it.
func TestSetWhileRunning(t *testing.T) {
	t.Parallel()
	cal := newCalendars(t, davserver.Options{}, "alice")
	cal.fill("alice", "one", 4)
	cal.fill("alice", "two", 4)
	in := newInstance(t, testenv.Env(t, testenv.EnvKafka), "", upstream{name: "work", cal: cal, users: []string{"alice"}})
	in.start()
	in.settle()
	tool := func(args ...string) string {
		t.Helper()
		out, code := command(t.Context(), t, in.config(), args...)
		if code != 0 {
			t.Fatalf("%v: exit code %d: %s", args, code, out)
		}
		return out
	}
	exported := filepath.Join(in.dir, "offsets.json")
	if err := os.WriteFile(exported, []byte(tool("offsets", "export")), 0o600); err != nil {
		t.Fatal(err)
	}
	cal.stir("alice", "one")
	in.settle()
	if out := tool("offsets", "import", exported); !strings.Contains(out, "goes on from the token") {
		t.Errorf("got %s", out)
	}
	cal.stir("alice", "one")
	in.settle()
	in.quiet()
	tool("offsets", "set", "--source", "work", "--account", "alice", "--collection", cal.Path("alice", "two"), "--epoch", "7")
	two := in.stream("work", "alice", cal.Path("alice", "two"))
	eventually(t, inTime, "the reset", func() string {
		in.run.Alive()
		in.catchUp()
		if len(two.Markers) < 4 {
			return fmt.Sprint(two.Markers)
		}
		return ""
	})
	if m := two.Markers[2]; m.Epoch != 8 || m.Reason != "requested" {
		t.Errorf("%+v", m)
	}
	if one := in.stream("work", "alice", cal.Path("alice", "one")); len(one.Markers) != 2 {
		t.Errorf("%+v", one.Markers)
	}
	in.run.Stop()
}

// Where the state or the data is lost, calcdc mends by itself: what it still knows, or the data topic tells, is put together again, and a
// reset follows. Rows that vanished in the gap get their d.
func TestLostTopics(t *testing.T) {
	t.Parallel()
	for _, lost := range []struct {
		name, topic string
		running     bool
		reason      string
		says        string
		anew        int32 // partitions of the topic that somebody makes in its place; 0: nobody does
	}{
		{"the state, while it is down", "NAME-state", false, "state-lost", "its record in the state is missing", 0},
		{"the state, while it runs", "NAME-state", true, "state-lost", "its record in the state is missing", 0},
		{"state and offsets, while it is down", "NAME-state NAME-offsets", false, "state-lost", "nothing is known of streams that were published before", 0},
		{"state and offsets, while it runs", "NAME-state NAME-offsets", true, "state-lost", "nothing is known of streams that were published before", 0},
		{"the data, while it is down", "NAME.work.events", false, "topic-lost", "its data topic NAME.work.events", 0},
		{"the data, while it runs", "NAME.work.events", true, "topic-lost", "its data topic NAME.work.events", 0},
		{"the data, made anew with one partition while it is down", "NAME.work.events", false, "topic-lost", "its data topic NAME.work.events", 1},
		{"the data, made anew with one partition while it runs", "NAME.work.events", true, "topic-lost", "its data topic NAME.work.events", 1},
	} {
		t.Run(lost.name, func(t *testing.T) {
			t.Parallel()
			cal := newCalendars(t, davserver.Options{}, "alice")
			cal.fill("alice", "work", 6)
			in := newInstance(t, testenv.Env(t, testenv.EnvKafka), "", upstream{name: "work", cal: cal, users: []string{"alice"}})
			in.start()
			in.settle()
			if !lost.running {
				in.run.Stop()
			}
			for _, topic := range strings.Fields(lost.topic) {
				newOperator(t, in.brokers).delete(in.named(topic))
				if lost.anew > 0 {
					newOperator(t, in.brokers).create(in.named(topic), lost.anew)
				}
			}
			cal.write("alice", "work", "0.ics")
			cal.Delete("alice", "work", "1.ics")
			if !lost.running {
				in.start()
			}
			in.says(in.named(lost.says))
			in.afterLoss(cal.Path("alice", "work"), lost.reason)
			in.quiet()
			in.run.Stop()
		})
	}
}

func (in *instance) named(pattern string) string { return strings.ReplaceAll(pattern, "NAME", in.name) }

// says waits for a line of the log with all of what.
func (in *instance) says(what ...string) {
	in.t.Helper()
	eventually(in.t, inTime, "the log says so", func() string {
		if !in.logged(what...) {
			return fmt.Sprintf("%q", what)
		}
		return ""
	})
}

// afterLoss waits for the reset that follows a loss. Where the data was lost, the records begin anew.
func (in *instance) afterLoss(path, reason string) {
	in.t.Helper()
	in.says("mended: a reset follows", reason)
	if reason == "topic-lost" {
		in.read()
	}
	eventually(in.t, inTime, "the topics equal the server", func() string {
		in.run.Alive()
		return strings.Join(head(in.differences()), "\n")
	})
	if reason == "state-lost" {
		in.sound()
	}
	s := in.stream("work", "alice", path)
	last := s.Markers[len(s.Markers)-2:]
	if last[0].Type != "snapshot-reset" || last[0].Reason != reason || last[1].Epoch != 2 || s.Ops["d"] != 1 {
		in.t.Errorf("%+v %v", s.Markers, s.Ops)
	}
}
