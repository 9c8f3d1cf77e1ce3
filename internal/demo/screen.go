package demo

import (
	"context"
	"fmt"
	"io"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// screen is the live view.
type screen struct {
	out     io.Writer
	program *tea.Program
	picture *picture
}

func newScreen(in io.Reader, out io.Writer) *screen {
	p := &picture{}
	return &screen{out, tea.NewProgram(p, tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler()), p}
}

func (s *screen) begin(e Endpoints) {
	s.picture.hints, s.picture.title = hints(e), "calendars · "+title(e.Kind)
}

func (s *screen) show(l line) { s.program.Send(l) }

// run ends when the spectator leaves or ctx does; the terminal is then as it was.
func (s *screen) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.program.Quit)
	defer stop()
	_, err := s.program.Run()
	return err
}

func (s *screen) end(summary string) { fmt.Fprintln(s.out, summary) }

// picture is what is on the screen.
type picture struct {
	width, height       int
	rows                timeline
	caption, score, log string
	hints               []string
	title               string // of the left side
}

// timeline is what happened on both sides, top to bottom. The first record after something that people did stands
// beside it.
type timeline struct {
	rows        [][2]*line // left, right
	left, right int        // the next free row of each side
}

// kept is how many rows are kept: more than any screen shows.
const kept = 300

func (t *timeline) add(l line) {
	if l.side == onCalendar {
		at := max(t.left, t.right)
		t.set(at, 0, l)
		t.left, t.right = at+1, at
	} else {
		t.set(t.right, 1, l)
		t.right++
	}
	if cut := len(t.rows) - kept; cut > 0 {
		t.rows, t.left, t.right = t.rows[cut:], t.left-cut, t.right-cut
	}
}

func (t *timeline) set(row, side int, l line) {
	for len(t.rows) <= row {
		t.rows = append(t.rows, [2]*line{})
	}
	t.rows[row][side] = &l
}

// Init implements tea.Model.
func (p *picture) Init() tea.Cmd { return nil }

// Update implements tea.Model.
func (p *picture) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch m := msg.(type) {
	case tea.WindowSizeMsg:
		p.width, p.height = m.Width, m.Height
	case tea.KeyPressMsg:
		switch m.String() {
		case "q", "esc", "ctrl+c":
			return p, tea.Quit
		}
	case line:
		p.take(m)
	}
	return p, nil
}

func (p *picture) take(l line) {
	switch l.side {
	case onCalendar, onTopic:
		p.rows.add(l)
	case onCaption:
		p.caption = l.what
	case onScore:
		p.score = l.what
	case onLog:
		p.log = "log: " + strings.TrimSpace(strings.TrimLeft(l.what, "0123456789-:.TZ+"))
	}
}

var (
	bold    = lipgloss.NewStyle().Bold(true)
	faint   = lipgloss.NewStyle().Faint(true)
	caption = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Color("11"))
	good    = lipgloss.NewStyle().Foreground(lipgloss.Color("10"))
	frame   = lipgloss.NewStyle().Border(lipgloss.RoundedBorder()).BorderForeground(lipgloss.Color("8"))
	opStyle = map[string]lipgloss.Style{
		"+": color("10"), "~": color("11"), "-": color("9"), "!": color("13"),
		"c": color("10"), "u": color("11"), "d": color("9"), "r": color("14"), "=": color("13"), "∅": faint, "·": faint,
	}
)

func color(c string) lipgloss.Style { return lipgloss.NewStyle().Foreground(lipgloss.Color(c)) }

// View implements tea.Model.
func (p *picture) View() tea.View {
	v := tea.NewView("")
	v.AltScreen, v.WindowTitle = true, "calcdc demo"
	if p.width < 64 || p.height < 12 {
		v.SetContent("The demo needs a window of 64 by 12. q leaves.")
		return v
	}
	leftWidth := min(46, max(32, p.width*2/5))
	rows := p.height - 8
	panes := lipgloss.JoinHorizontal(lipgloss.Top,
		p.pane(p.title, leftWidth, rows, 0), p.pane("Kafka · what consumers read", p.width-leftWidth, rows, 1))
	score := p.score
	if strings.HasPrefix(score, "✓") {
		score = good.Render(score)
	}
	lines := []string{bold.Render("calcdc demo  ") + caption.Render(p.caption), panes, score}
	for _, l := range append([]string{p.log}, p.hints...) {
		lines = append(lines, faint.Render(l))
	}
	for i := range lines {
		lines[i] = fit(lines[i], p.width)
	}
	v.SetContent(strings.Join(lines, "\n"))
	return v
}

// pane shows the last rows of a side, 0 left and 1 right, under a title. With its frame it is rows+3 high.
func (p *picture) pane(title string, width, rows, side int) string {
	inner := width - 2
	text := []string{bold.Render(pad(" "+title, inner))}
	if side == 1 {
		text[0] = bold.Render(pad(" "+title, inner-9)) + faint.Render("q leaves ")
	}
	for _, r := range p.rows.rows[max(0, len(p.rows.rows)-rows):] {
		l := r[side]
		switch {
		case l == nil:
			text = append(text, "")
		case side == 0:
			text = append(text, " "+opStyle[l.op].Render(l.op)+" "+pad(l.left(), inner-3))
		default:
			text = append(text, " "+opStyle[l.op].Render(l.op)+" "+pad(l.right(), inner-3))
		}
	}
	return frame.Width(width).Height(rows + 3).Render(strings.Join(text, "\n"))
}

// fit cuts each line of a block to width.
func fit(block string, width int) string {
	lines := strings.Split(block, "\n")
	for i := range lines {
		lines[i] = ansi.Truncate(lines[i], width, "…")
	}
	return strings.Join(lines, "\n")
}
