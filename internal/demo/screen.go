package demo

import (
	"context"
	"io"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// screen is the live view.
type screen struct {
	program *tea.Program
	picture *picture
}

func newScreen(out io.Writer) *screen {
	p := &picture{}
	return &screen{tea.NewProgram(p, tea.WithOutput(out), tea.WithoutSignalHandler()), p}
}

func (s *screen) begin(e Endpoints) { s.picture.hints = hints(e) }

func (s *screen) show(l line) { s.program.Send(l) }

// run ends when the spectator leaves or ctx does; the terminal is then as it was.
func (s *screen) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.program.Quit)
	defer stop()
	_, err := s.program.Run()
	return err
}

// kept is how many lines of each side are kept: more than any screen shows.
const kept = 300

// picture is what is on the screen.
type picture struct {
	width, height       int
	left, right         []line
	caption, score, log string
	hints               []string
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
	case onCalendar:
		p.left = last(append(p.left, l), kept)
	case onTopic:
		p.right = last(append(p.right, l), kept)
	case onCaption:
		p.caption = l.what
	case onScore:
		p.score = l.what
	case onLog:
		p.log = strings.TrimSpace(l.what)
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
	if p.width < 40 || p.height < 12 {
		v.SetContent("This window is too small for the demo. q leaves.")
		return v
	}
	leftWidth := max(34, p.width*2/5)
	rows := p.height - 9
	panes := lipgloss.JoinHorizontal(lipgloss.Top,
		p.pane("calendars · CalDAV", leftWidth, rows, p.left, line.left),
		p.pane("Kafka · what consumers read", p.width-leftWidth, rows, p.right, line.right))
	score := p.score
	if strings.Contains(score, "=") {
		score = good.Render("✓ " + score)
	}
	foot := []string{score, faint.Render(p.log)}
	for _, h := range p.hints {
		foot = append(foot, faint.Render(h))
	}
	foot = append(foot, faint.Render("q leaves"))
	lines := append([]string{bold.Render("calcdc demo  ") + caption.Render(p.caption), panes}, foot...)
	for i := range lines {
		lines[i] = fit(lines[i], p.width)
	}
	v.SetContent(strings.Join(lines, "\n"))
	return v
}

// pane shows the last rows lines of a side under a title.
func (p *picture) pane(title string, width, rows int, lines []line, words func(line) string) string {
	inner := width - 2
	text := []string{bold.Render(pad(" "+title, inner))}
	for _, l := range last(lines, rows) {
		style := opStyle[l.op]
		text = append(text, " "+style.Render(l.op)+" "+pad(words(l), inner-3))
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

func last(lines []line, n int) []line { return lines[max(0, len(lines)-n):] }
