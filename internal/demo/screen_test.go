package demo

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// drawn is what the spectator sees of the lines on a terminal of that size.
func drawn(width, height int, lines ...line) []string {
	p := &picture{hints: hints(Endpoints{Brokers: []string{"127.0.0.1:9092"}, TopicPrefix: "cal", Source: "demo"})}
	p.Update(tea.WindowSizeMsg{Width: width, Height: height})
	for _, l := range lines {
		p.Update(l)
	}
	return strings.Split(ansi.Strip(p.View().Content), "\n")
}

func TestThePictureFitsTheTerminal(t *testing.T) {
	long := strings.Repeat("très long ", 40)
	for _, size := range [][2]int{{80, 24}, {120, 40}, {64, 12}, {300, 100}} {
		var lines []line
		for range 200 {
			lines = append(lines, line{side: onCalendar, op: "+", where: "work", what: long}, line{side: onTopic, op: "c", where: "work", id: long, what: long})
		}
		got := drawn(size[0], size[1], append(lines, line{side: onCaption, what: long}, line{side: onLog, what: long}, line{side: onScore, what: long})...)
		if len(got) != size[1] {
			t.Errorf("%v: %d rows", size, len(got))
		}
		for _, row := range got {
			if ansi.StringWidth(row) > size[0] {
				t.Errorf("%v: a row is %d wide: %s", size, ansi.StringWidth(row), row)
			}
		}
	}
	if got := drawn(30, 5); len(got) != 1 || !strings.Contains(got[0], "64 by 12") {
		t.Errorf("%q", got)
	}
}

func TestRecordsStandBesideWhatCausedThem(t *testing.T) {
	got := drawn(120, 24,
		line{side: onTopic, op: "=", where: "work", what: "snapshot-end"},
		line{side: onCalendar, op: "!", what: "server down"},
		line{side: onCalendar, op: "-", where: "work", what: "Lunch"},
		line{side: onTopic, op: "d", where: "work", id: "lunch.ics", what: "Lunch"},
		line{side: onTopic, op: "∅", where: "work", id: "lunch.ics", what: "tombstone"},
		line{side: onCalendar, op: "+", where: "work", what: "Dinner"},
		line{side: onTopic, op: "c", where: "work", id: "dinner.ics", what: "Dinner"},
	)
	rows := [][2]string{{"", "= work"}, {"! ", ""}, {"- work", "d work/lunch.ics"}, {"", "∅ work/lunch.ics"}, {"+ work", "c work/dinner.ics"}}
	for i, want := range rows {
		left, right, _ := strings.Cut(strings.TrimPrefix(got[i+3], "│"), "││")
		if !strings.HasPrefix(strings.TrimSpace(left), strings.TrimSpace(want[0])) || !strings.HasPrefix(strings.TrimSpace(right), want[1]) {
			t.Errorf("row %d is %q, want %q", i, got[i+3], want)
		}
		if want[1] == "" && strings.TrimRight(right, " │") != "" {
			t.Errorf("row %d is %q, want nothing to its right", i, got[i+3])
		}
	}
}

func TestOldRowsGo(t *testing.T) {
	var tl timeline
	for range 3 * kept {
		tl.add(line{side: onCalendar})
		tl.add(line{side: onTopic})
	}
	if len(tl.rows) != kept || tl.left != kept || tl.right != kept {
		t.Fatal(len(tl.rows), tl.left, tl.right)
	}
}

func TestKeysLeave(t *testing.T) {
	for _, key := range []tea.KeyPressMsg{{Code: 'q', Text: "q"}, {Code: tea.KeyEscape}, {Code: 'c', Mod: tea.ModCtrl}} {
		if _, cmd := (&picture{}).Update(key); cmd == nil {
			t.Errorf("%s does not leave", key)
		} else if _, quits := cmd().(tea.QuitMsg); !quits {
			t.Errorf("%s does not leave", key)
		}
	}
	if _, cmd := (&picture{}).Update(tea.KeyPressMsg{Code: 'x', Text: "x"}); cmd != nil {
		t.Error("x leaves")
	}
}

// However it is left, the terminal is as it was.
func TestTheScreenIsLeft(t *testing.T) {
	const enter, leave = "\x1b[?1049h", "\x1b[?1049l"
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	soon, stop := context.WithTimeout(ctx, 100*time.Millisecond)
	defer stop()
	typed, typing := io.Pipe()
	defer typing.Close()
	go typing.Write([]byte("q")) // returns once it is read or typing is closed
	nothing, silent := io.Pipe()
	defer silent.Close()
	for name, c := range map[string]struct {
		ctx context.Context
		in  io.Reader
	}{"q": {ctx, typed}, "the end": {soon, nothing}} {
		out := &output{}
		s := newScreen(c.in, out)
		s.begin(Endpoints{})
		if err := s.run(c.ctx); err != nil || ctx.Err() != nil {
			t.Fatal(name, err, ctx.Err())
		}
		s.show(line{side: onTopic}) // late, and lost
		s.end("that was it")
		if got := out.String(); !strings.Contains(got, enter) || strings.LastIndex(got, leave) < strings.LastIndex(got, enter) || !strings.HasSuffix(got, "that was it\n") {
			t.Errorf("%s: %q", name, got)
		}
	}
}
