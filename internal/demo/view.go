package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/charmbracelet/x/ansi"
	"golang.org/x/term"
)

// newView is a live view where there is a terminal to show it on and a keyboard to leave it by, else plain lines.
func newView(o Options) view {
	if out, ok := o.Out.(*os.File); ok && !o.Plain && term.IsTerminal(int(out.Fd())) && term.IsTerminal(int(os.Stdin.Fd())) {
		return newScreen(os.Stdin, out)
	}
	return &plain{out: o.Out}
}

// plain writes lines: the calendars in the left column, the topics in the right one. What people do waits for a moment
// in which its first record may come to stand beside it.
type plain struct {
	mu   sync.Mutex
	out  io.Writer
	held string // of the left column, not yet written
}

// leftColumn is the width of the left column.
const leftColumn = 42

func (p *plain) show(l line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch l.side {
	case onCalendar:
		p.flush()
		p.held = l.op + " " + l.left()
	case onTopic:
		p.row(p.held, l.op+" "+l.right())
		p.held = ""
	case onCaption:
		p.flush()
		p.row("", "")
		fmt.Fprintln(p.out, l.what)
	case onLog, onScore: // for the live view
	}
}

func (p *plain) flush() {
	if p.held != "" {
		p.row(p.held, "")
	}
	p.held = ""
}

func (p *plain) row(left, right string) {
	fmt.Fprintln(p.out, strings.TrimRight(pad(left, leftColumn)+"│ "+right, " "))
}

func (p *plain) begin(e Endpoints) {
	fmt.Fprintln(p.out, strings.Join(hints(e), "\n")+"\n")
	all := streams(e.Kind)
	last := len(all) - 1
	p.row("calendars ("+title(e.Kind)+")", fmt.Sprintf("Kafka (%s.%s.%s and .%s)", e.TopicPrefix, e.Source, strings.Join(all[:last], ", ."), all[last]))
}

func (p *plain) run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (p *plain) end(summary string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flush()
	fmt.Fprintln(p.out, "\n"+summary)
}

// hints say how to look at both sides oneself.
func hints(e Endpoints) []string {
	calendars := fmt.Sprintf("Calendars: %s (user %s, password %s), for any CalDAV client", e.URL, e.Username, e.Password)
	if e.Kind == Google {
		calendars = fmt.Sprintf("Calendars: curl -H 'Authorization: Bearer %s' %susers/me/calendarList", e.Token, e.URL)
	}
	return []string{
		calendars,
		fmt.Sprintf("Kafka:     kcat -C -b %s -t %s.%s.events, or any consumer", strings.Join(e.Brokers, ","), e.TopicPrefix, e.Source),
	}
}

// title is what a kind of server is called.
func title(k Kind) string {
	if k == Google {
		return "Google"
	}
	return "CalDAV"
}

// left is the line in the calendars' column, without its op.
func (l line) left() string { return pad(l.where, 5) + " " + l.what }

// right is the line in the topics' column, without its op.
func (l line) right() string {
	if l.id == "" {
		return l.where + " " + l.what
	}
	return pad(l.where+"/"+l.id, 22) + " " + l.what
}

// pad makes s as wide as width on a terminal.
func pad(s string, width int) string {
	s = ansi.Truncate(s, width, "…")
	return s + strings.Repeat(" ", width-ansi.StringWidth(s))
}
