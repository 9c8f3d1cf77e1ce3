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
		return newScreen(out)
	}
	return &plain{out: o.Out}
}

// plain writes a line for each thing that happens: the calendars in the left column, the topics in the right one.
type plain struct {
	mu  sync.Mutex
	out io.Writer
}

// leftColumn is the width of the left column.
const leftColumn = 46

func (p *plain) show(l line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch l.side {
	case onCalendar:
		fmt.Fprintf(p.out, "%s│\n", pad(fmt.Sprintf("%s %s", l.op, l.left()), leftColumn))
	case onTopic:
		fmt.Fprintf(p.out, "%s│ %s %s\n", pad("", leftColumn), l.op, l.right())
	case onCaption:
		fmt.Fprintf(p.out, "%s│\n%s\n", pad("", leftColumn), l.what)
	case onLog, onScore: // for the live view
	}
}

func (p *plain) begin(e Endpoints) {
	for _, hint := range hints(e) {
		fmt.Fprintln(p.out, hint)
	}
	fmt.Fprintf(p.out, "\n%s│ topics %s.%s.events and .calendars\n", pad("calendars (CalDAV)", leftColumn), e.TopicPrefix, e.Source)
	fmt.Fprintf(p.out, "%s┼%s\n", strings.Repeat("─", leftColumn), strings.Repeat("─", 70))
}

func (p *plain) run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// hints say how to look at both sides oneself.
func hints(e Endpoints) []string {
	return []string{
		fmt.Sprintf("Calendars: %s (user %s, password %s), for any CalDAV client", e.DAVURL, e.Username, e.Password),
		fmt.Sprintf("Topic:     kcat -b %s -t %s.%s.events -C -X isolation.level=read_committed", strings.Join(e.Brokers, ","), e.TopicPrefix, e.Source),
	}
}

// left is the line in the calendars' column, without its op.
func (l line) left() string { return pad(l.where, 5) + " " + l.what }

// right is the line in the topics' column, without its op.
func (l line) right() string {
	if l.id == "" {
		return pad(l.where, 9) + " " + l.what
	}
	return pad(l.where, 9) + " " + pad(l.id, 18) + " " + l.what
}

// pad makes s as wide as width on a terminal.
func pad(s string, width int) string {
	s = ansi.Truncate(s, width, "…")
	return s + strings.Repeat(" ", width-ansi.StringWidth(s))
}
