// Package demo shows what calcdc does, with everything embedded: a calendar server, a Kafka broker, a little life in
// the calendars, and a view of both sides. On the left stands what people do, on the right what consumers read.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kfake"
	"golang.org/x/sync/errgroup"

	"github.com/calcdc/calcdc/sinks/kafka"
)

// Kind is the kind of calendar server that the demo embeds.
type Kind string

// The kinds of calendar server.
const (
	CalDAV Kind = "caldav"
	Google Kind = "google"
)

// Endpoints is what the connector of the demo is to be configured with.
type Endpoints struct {
	Brokers             []string
	Kind                Kind
	URL                 string        // of the CalDAV server, or of the Google API, with its last slash
	Username, Password  string        // of CalDAV
	Token               string        // of Google: the bearer token
	Source, TopicPrefix string        // name of the only source; prefix of the topics
	PollInterval        time.Duration // short, for impatient spectators
	Log                 io.Writer     // for the connector's log: the live view shows its last line
}

// Options says how to run the demo.
type Options struct {
	Kind  Kind          // of the calendar server; "": CalDAV
	For   time.Duration // ends by itself after so long; 0: when ctx does, or the spectator wants it to
	Plain bool          // lines, even on a terminal
	Out   io.Writer     // a terminal gets the live view, anything else plain lines
	Pace  time.Duration // between two things that happen; 0: 1.2 s, less where For would end the story early

	// Start runs the connector until ctx ends. An error ends the demo.
	Start func(ctx context.Context, e Endpoints) error

	once bool // ends when the story has been told
}

const (
	source = "demo"
	prefix = "cal"
)

// view shows what happens. It is called from several goroutines.
type view interface {
	begin(e Endpoints) // before all else: says which address is what
	show(line)
	// run shows until ctx ends or the spectator wants to leave.
	run(ctx context.Context) error
	end(summary string) // after all else
}

// Run shows the demo until it is over. It returns nil when ctx ends, Options.For is over or the spectator leaves.
func Run(ctx context.Context, o Options) error {
	if o.Kind == "" {
		o.Kind = CalDAV
	}
	if o.Pace == 0 {
		o.Pace = 1200 * time.Millisecond
		if o.For > 0 {
			o.Pace = min(o.Pace, o.For/20)
		}
	}
	if o.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.For)
		defer cancel()
	}
	v := newView(o)
	s, err := newStage(ctx, o.Kind, v)
	if err != nil {
		return err
	}
	err = s.play(ctx, o)
	if err := s.close(); err != nil {
		return err
	}
	if err == nil {
		v.end(s.summary())
	}
	return err
}

// stage is what the demo embeds. It outlives the connector, which may finish what it is at.
type stage struct {
	calendars calendars
	url       string       // of the calendar server, without a path
	closed    func() error // stops the calendar server
	broker    *kfake.Cluster
	client    *kafka.Client
	fold      *fold
	view      view
}

func newStage(ctx context.Context, kind Kind, v view) (*stage, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening a port for the calendar server: %w", err)
	}
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DefaultNumPartitions(1))
	if err != nil {
		_ = ln.Close()
		return nil, fmt.Errorf("starting the broker: %w", err)
	}
	client, err := kafka.New(kafka.Config{Brokers: broker.ListenAddrs()}, hclog.NewNullLogger())
	if err != nil {
		_ = ln.Close()
		broker.Close()
		return nil, fmt.Errorf("reaching the broker: %w", err)
	}
	s := &stage{broker: broker, client: client, view: v, url: "http://" + ln.Addr().String()}
	if s.calendars, err = newCalendars(kind, s.show); err != nil {
		_ = ln.Close()
		client.Close()
		broker.Close()
		return nil, fmt.Errorf("filling the calendar server: %w", err)
	}
	s.fold = newFold(s.calendars)
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- s.calendars.Serve(serving, ln) }()
	s.closed = func() error { stop(); return <-ended }
	return s, nil
}

func newCalendars(kind Kind, show func(line)) (calendars, error) {
	if kind == Google {
		return newGoogle(show)
	}
	return newDAV(show), nil
}

// show shows a line and, where a side has changed by it, how the two compare.
func (s *stage) show(l line) {
	s.view.show(l)
	if l.side == onCalendar || l.side == onTopic {
		s.view.show(line{side: onScore, what: s.fold.compare().String()})
	}
}

func (s *stage) close() error {
	s.client.Close()
	err := s.closed()
	s.broker.Close()
	return err
}

func (s *stage) endpoints(log io.Writer) Endpoints {
	e := Endpoints{
		Brokers: s.broker.ListenAddrs(), Source: source, TopicPrefix: prefix, PollInterval: 300 * time.Millisecond, Log: log,
	}
	s.calendars.reach(s.url, &e)
	return e
}

// errOver ends the group when the view has ended.
var errOver = errors.New("the demo is over")

// play runs the connector, the life in the calendars, the reading of the topics and the view.
func (s *stage) play(ctx context.Context, o Options) error {
	l := newLife(s.calendars, s.show)
	e := s.endpoints(logLines(s.show))
	s.view.begin(e)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := s.view.run(ctx); err != nil {
			return fmt.Errorf("showing the demo: %w", err)
		}
		return errOver
	})
	g.Go(func() error {
		err := o.Start(ctx, e)
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("the connector ended: %w", orUnexpected(err))
	})
	for _, stream := range streams(o.Kind) {
		g.Go(func() error { return s.follow(ctx, prefix+"."+source+"."+stream) })
	}
	g.Go(func() error {
		early := beforeEnd(ctx, o)
		switch told := l.tellStory(early, o.Pace, s.fold.agrees); {
		case told && o.once:
			return errOver
		case told:
			l.goOn(early, o.Pace, s.fold.agrees)
		}
		return nil
	})
	if err := g.Wait(); err != nil && !errors.Is(err, errOver) {
		return err
	}
	return nil
}

// streams are the kinds of stream that a kind of server has.
func streams(k Kind) []string {
	if k == Google {
		return []string{"events", "calendars", "acl", "settings"}
	}
	return []string{"events", "calendars"}
}

func orUnexpected(err error) error {
	if err == nil {
		return errors.New("without being asked to")
	}
	return err
}

// logLines shows every line that is written to it.
type logLines func(line)

// Write implements io.Writer; hclog writes whole lines.
func (show logLines) Write(p []byte) (int, error) {
	show(line{side: onLog, what: string(p)})
	return len(p), nil
}
