package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/describegroups"

	"github.com/calcdc/calcdc/connector"
)

// Figures of a group, measured on clusters that lose brokers.
const (
	heartbeatEvery   = 300 * time.Millisecond // the others learn that much later that a member has come or gone
	rebalanceTimeout = 10 * time.Second
	joinAgainAfter   = 200 * time.Millisecond
	groupTimeout     = 3 * time.Second // of a request to the coordinator
	failuresInARow   = 2               // then another broker is asked where the coordinator is
	lookAfter        = 250 * time.Millisecond
)

// GroupConfig says which partitions a group divides.
type GroupConfig struct {
	ID             string
	Topic          string
	Partitions     int32         // of Topic
	SessionTimeout time.Duration // after which a member that is not heard of has lost its share; 10 s
}

// Group is a consumer group that divides a topic's partitions among processes, and nothing else: it reads and commits nothing. It is
// a connector.Share. What it assigns outlives the generation of the group: a member whose coordinator is away goes on with what it had.
type Group struct {
	c        *Client
	cfg      GroupConfig
	clientID string // tells this member from others

	mu   sync.Mutex
	held claim
}

var _ connector.Share = (*Group)(nil)

// NewGroup makes a member of a group; Follow joins it.
func (c *Client) NewGroup(cfg GroupConfig) *Group {
	if cfg.SessionTimeout <= 0 {
		cfg.SessionTimeout = 10 * time.Second
	}
	return &Group{c: c, cfg: cfg, clientID: fmt.Sprintf("%s-%08x", c.cfg.ClientID, rand.Uint32())}
}

// Follow implements connector.Share: it is a member of the group until ctx ends, and has left it when it returns. It returns an error
// where the brokers refuse the member for good before the group has ever assigned anything to it.
//
// Brokers wait before they make the first generation of a group (group.initial.rebalance.delay.ms, 3 s unless set). A member that
// finds itself alone in the group meanwhile begins with all partitions: a worker that is started again shall not wait.
func (g *Group) Follow(ctx context.Context, assigned func([]int32)) error {
	warn := g.c.warner("the group cannot be joined, trying on", "group", g.cfg.ID)
	for turn := 0; ctx.Err() == nil; turn++ {
		if err := g.join(ctx, turn, warn, assigned); err != nil {
			return fmt.Errorf("joining the group %s: %w", g.cfg.ID, err)
		}
	}
	return nil
}

// join is a member of the group until ctx ends or several attempts in a row have failed. It returns an error where there is no use in
// another.
func (g *Group) join(ctx context.Context, turn int, warn func(error), assigned func([]int32)) error {
	member, err := kafkago.NewConsumerGroup(g.config(turn))
	if err != nil {
		return err
	}
	// Close returns once the group has been left: else the others would wait for a whole session.
	defer func() { _ = member.Close() }()
	look := time.Now().Add(lookAfter)
	for failures := 0; failures < failuresInARow; {
		soon, cancel := g.beginning(ctx, look)
		generation, err := member.Next(soon)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failures = 0
			g.keep(g.assignment(generation))
			assigned(g.claim().Partitions)
		case errors.Is(err, context.DeadlineExceeded) && !time.Now().Before(look):
			if look = time.Now().Add(lookAfter); g.alone(ctx) {
				g.keep(claim{Partitions: g.all()})
				assigned(g.claim().Partitions)
			}
		case refusedInGroup(err) && g.claim().Generation == 0:
			return explain(err)
		case errors.Is(err, kafkago.RebalanceInProgress): // the next attempt is part of the next generation
		default:
			failures++
			warn(err)
		}
	}
	return nil
}

// refusedInGroup says that a member is not wanted, and will not be.
func refusedInGroup(err error) bool {
	return refused(err) || errors.Is(err, kafkago.InvalidSessionTimeout) || errors.Is(err, kafkago.InconsistentGroupProtocol)
}

// config is that of a member. It asks another broker first at each turn, because kafka-go asks only the first that can be connected
// for the coordinator, and one that hangs can be.
func (g *Group) config(turn int) kafkago.ConsumerGroupConfig {
	first := turn % len(g.c.cfg.Brokers)
	return kafkago.ConsumerGroupConfig{
		ID: g.cfg.ID, Topics: []string{g.cfg.Topic},
		Brokers: slices.Concat(g.c.cfg.Brokers[first:], g.c.cfg.Brokers[:first]),
		Dialer: &kafkago.Dialer{ClientID: g.clientID, Timeout: dialTimeout, DualStack: true,
			TLS: g.c.sec.tls, SASLMechanism: g.c.sec.sasl},
		GroupBalancers:    []kafkago.GroupBalancer{sticky{g.cfg.Topic, g.cfg.Partitions, g.claim}},
		HeartbeatInterval: min(heartbeatEvery, g.cfg.SessionTimeout/3), SessionTimeout: g.cfg.SessionTimeout,
		RebalanceTimeout: rebalanceTimeout, JoinGroupBackoff: joinAgainAfter, Timeout: groupTimeout,
		Logger: groupLog(g.c.log.Trace), ErrorLogger: groupLog(g.c.log.Debug),
	}
}

// beginning is ctx until it is time to look whether this member may begin without the group's word: as long as it has none.
func (g *Group) beginning(ctx context.Context, look time.Time) (context.Context, context.CancelFunc) {
	if g.claim().Partitions != nil {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, look)
}

// alone tells whether this member is in the group, and nobody else.
func (g *Group) alone(ctx context.Context) bool {
	res, err := ask[*describegroups.Response](ctx, g.c, groupTimeout, &describegroups.Request{Groups: []string{g.cfg.ID}})
	if err != nil || len(res.Groups) != 1 || res.Groups[0].ErrorCode != 0 {
		return false
	}
	members := res.Groups[0].Members
	return len(members) == 1 && members[0].ClientID == g.clientID
}

func (g *Group) all() []int32 {
	all := make([]int32, g.cfg.Partitions)
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

// assignment is what a generation says.
func (g *Group) assignment(generation *kafkago.Generation) claim {
	held := claim{Generation: generation.ID, Partitions: []int32{}}
	for _, p := range generation.Assignments[g.cfg.Topic] {
		held.Partitions = append(held.Partitions, int32(p.ID))
	}
	slices.Sort(held.Partitions)
	return held
}

// keep takes over what the member holds from now on.
func (g *Group) keep(held claim) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = held
}

// claim is what the member holds.
func (g *Group) claim() claim {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

// groupLog makes a logger's method kafka-go's Logger.
type groupLog func(msg string, args ...any)

// Printf implements kafkago.Logger.
func (log groupLog) Printf(format string, args ...any) {
	log("consumer group", "text", fmt.Sprintf(format, args...))
}
