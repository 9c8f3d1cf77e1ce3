package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/calcdc/calcdc/sinks/kafka"
)

const sharedPartitions = 7

// member is a Group that follows, and what it has been told.
type member struct {
	t      *testing.T
	client *kafka.Client
	stop   context.CancelFunc
	ended  chan struct{}

	mu     sync.Mutex
	shares [][]int32
}

func joined(t *testing.T, fake *kfake.Cluster, change ...func(*kafka.GroupConfig)) *member {
	t.Helper()
	cfg := kafka.GroupConfig{ID: "team", Topic: "team-offsets", Partitions: sharedPartitions}
	for _, c := range change {
		c(&cfg)
	}
	c, err := kafka.New(kafka.Config{Brokers: fake.ListenAddrs()}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &member{t: t, client: c, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(m.ended)
		err := c.NewGroup(cfg).Follow(ctx, func(partitions []int32) {
			m.mu.Lock()
			m.shares = append(m.shares, slices.Clone(partitions))
			m.mu.Unlock()
		})
		if err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(m.leave)
	return m
}

// leave ends the member; it may have ended.
func (m *member) leave() {
	m.stop()
	<-m.ended
	m.client.Close()
}

// share is what the member was told last, and how often it has been told.
func (m *member) share() ([]int32, int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.shares) == 0 {
		return nil, 0
	}
	return m.shares[len(m.shares)-1], len(m.shares)
}

// awaitShares waits until the members divide all partitions evenly.
func awaitShares(t *testing.T, within time.Duration, members ...*member) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		var all []int32
		even, text := true, ""
		for _, m := range members {
			share, _ := m.share()
			all = append(all, share...)
			even = even && (len(share) == sharedPartitions/len(members) || len(share) == (sharedPartitions+len(members)-1)/len(members))
			text += fmt.Sprint(share, " ")
		}
		slices.Sort(all)
		if even && len(all) == sharedPartitions && len(slices.Compact(all)) == sharedPartitions {
			return time.Since(began)
		}
		if time.Since(began) > within {
			t.Fatalf("after %v the shares are %s", within, text)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func groupCluster(t *testing.T) *kfake.Cluster {
	t.Helper()
	return cluster(t, kfake.SeedTopics(sharedPartitions, "team-offsets"),
		kfake.BrokerConfigs(map[string]string{"group.min.session.timeout.ms": "1000"}))
}

// Members that join and leave divide the partitions anew at once; those that stay keep what they can.
func TestMembersJoinAndLeave(t *testing.T) {
	t.Parallel()
	fake := groupCluster(t)
	a := joined(t, fake)
	awaitShares(t, 20*time.Second, a)
	b := joined(t, fake)
	awaitShares(t, 20*time.Second, a, b)
	ofA, _ := a.share()
	ofB, _ := b.share()
	c := joined(t, fake)
	awaitShares(t, 20*time.Second, a, b, c)
	for m, before := range map[*member][]int32{a: ofA, b: ofB} {
		now, _ := m.share()
		for _, p := range now {
			if !slices.Contains(before, p) {
				t.Errorf("%d moved between members that stayed", p)
			}
		}
	}
	b.leave()
	if took := awaitShares(t, 20*time.Second, a, c); took > 5*time.Second {
		t.Errorf("the share of a member that left was taken over after %v: it waited for the session", took)
	}
	c.leave()
	a.leave()
	d := joined(t, fake) // the group is empty, nobody is waited for
	if took := awaitShares(t, 20*time.Second, d); took > 5*time.Second {
		t.Errorf("a group that all had left gave a share after %v", took)
	}
}

// A member that is alone in the group does not wait for its first generation, which brokers put off; one that is not does.
func TestAMemberThatIsAloneBeginsAtOnce(t *testing.T) {
	t.Parallel()
	fake := groupCluster(t)
	restore := refuse(fake, kerr.RebalanceInProgress.Code, kmsg.SyncGroup) // it has joined, and the group is not ready
	a := joined(t, fake)
	awaitShares(t, 20*time.Second, a)
	if _, told := a.share(); told != 1 {
		t.Errorf("told %d times", told)
	}
	b := joined(t, fake)
	time.Sleep(4 * time.Second / 3) // that nothing comes takes time to see
	if share, told := b.share(); told > 0 {
		t.Errorf("somebody else is a member, and it begins with %v", share)
	}
	restore()
	awaitShares(t, 20*time.Second, a, b)
}

// Members that all leave at the same time, as in a restart of all, leave nobody behind whom the next would wait for.
func TestAllLeaveAtOnce(t *testing.T) {
	t.Parallel()
	fake := groupCluster(t)
	for range 4 {
		members := []*member{joined(t, fake), joined(t, fake), joined(t, fake)}
		awaitShares(t, 20*time.Second, members...)
		var leaving sync.WaitGroup
		for _, m := range members {
			leaving.Go(m.leave)
		}
		leaving.Wait()
		if left := fake.GroupInfo("team").Members; len(left) > 0 {
			t.Fatalf("%d members are left", len(left))
		}
	}
}

// refuse answers all requests of a kind with an error until restore is called.
func refuse(fake *kfake.Cluster, code int16, keys ...kmsg.Key) (restore func()) {
	var mu sync.Mutex
	off := false
	for _, key := range keys {
		fake.ControlKey(key.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
			mu.Lock()
			defer mu.Unlock()
			if off {
				fake.DropControl()
				return nil, nil, false
			}
			fake.KeepControl()
			res := req.ResponseKind()
			switch r := res.(type) {
			case *kmsg.HeartbeatResponse:
				r.ErrorCode = code
			case *kmsg.JoinGroupResponse:
				r.ErrorCode = code
			case *kmsg.SyncGroupResponse:
				r.ErrorCode = code
			case *kmsg.FindCoordinatorResponse:
				r.ErrorCode = code
			}
			return res, nil, true
		})
	}
	return func() {
		mu.Lock()
		defer mu.Unlock()
		off = true
	}
}

// While the coordinator is away a member is told nothing, and so goes on with what it has; afterwards it has the same.
func TestCoordinatorAway(t *testing.T) {
	t.Parallel()
	fake := groupCluster(t)
	a, b := joined(t, fake), joined(t, fake)
	awaitShares(t, 20*time.Second, a, b)
	ofA, told := a.share()
	restore := refuse(fake, kerr.NotCoordinator.Code, kmsg.Heartbeat, kmsg.JoinGroup, kmsg.FindCoordinator)
	time.Sleep(4 * time.Second) // several attempts
	if _, n := a.share(); n != told {
		t.Error("a member was told something that no generation says")
	}
	restore()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, n := a.share(); n > told {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no new generation")
		}
	}
	awaitShares(t, 30*time.Second, a, b)
	if now, _ := a.share(); !slices.Equal(now, ofA) {
		t.Errorf("the share was %v and is %v", ofA, now)
	}
}

// A member of which nothing is heard loses its share after its session.
func TestALostMemberIsReplaced(t *testing.T) {
	t.Parallel()
	fake := groupCluster(t)
	quick := func(c *kafka.GroupConfig) { c.SessionTimeout = 2 * time.Second }
	a := joined(t, fake, quick)
	awaitShares(t, 20*time.Second, a)
	ghost(t, fake)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		share, n := a.share()
		if n >= 3 && len(share) == sharedPartitions { // alone, with the ghost, without it
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %d generations the share is %v", n, share)
		}
	}
}

// ghost joins the group with half of the partitions and is never heard of again.
func ghost(t *testing.T, fake *kfake.Cluster) {
	t.Helper()
	dead := &wires{}
	c, err := kafkago.NewConsumerGroup(kafkago.ConsumerGroupConfig{
		ID: "team", Brokers: fake.ListenAddrs(), Topics: []string{"team-offsets"}, Dialer: &kafkago.Dialer{DialFunc: dead.dial},
		GroupBalancers: []kafkago.GroupBalancer{silent{}}, SessionTimeout: 2 * time.Second, HeartbeatInterval: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	g, err := c.Next(deadline(t, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(g.Assignments["team-offsets"]); n != sharedPartitions/2 {
		t.Errorf("the ghost has %d partitions", n)
	}
	dead.cut()
	_ = c.Close() // its leave does not arrive
}

// silent joins as calcdc does, with no claim.
type silent struct{}

func (silent) ProtocolName() string      { return "calcdc-sticky" }
func (silent) UserData() ([]byte, error) { return nil, nil }
func (silent) AssignGroups([]kafkago.GroupMember, []kafkago.Partition) kafkago.GroupMemberAssignments {
	return nil
}

// What the brokers refuse for good ends the member at once, and says what to do.
func TestRefusedMember(t *testing.T) {
	t.Parallel()
	for code, hint := range map[int16]string{
		kerr.GroupAuthorizationFailed.Code:  "READ on the group",
		kerr.InvalidSessionTimeout.Code:     "kafka.group.session_timeout",
		kerr.InconsistentGroupProtocol.Code: "another name",
	} {
		fake := groupCluster(t)
		defer refuse(fake, code, kmsg.JoinGroup)()
		c := client(t, kafka.Config{Brokers: fake.ListenAddrs()})
		g := c.NewGroup(kafka.GroupConfig{ID: "team", Topic: "team-offsets", Partitions: sharedPartitions})
		err := g.Follow(deadline(t, 20*time.Second), func([]int32) {})
		if !errors.Is(err, kafkago.Error(code)) || !strings.Contains(err.Error(), hint) {
			t.Errorf("%d: %v", code, err)
		}
	}
}

// A broker that accepts connections and never answers keeps a member out only until another is asked.
func TestHungFirstBroker(t *testing.T) {
	t.Parallel()
	fake := groupCluster(t)
	awaitShares(t, 20*time.Second, joined(t, fake)) // who comes now needs the group
	hung := hang(t)
	c := client(t, kafka.Config{Brokers: append([]string{hung}, fake.ListenAddrs()...)})
	ctx, cancel := context.WithCancel(deadline(t, 60*time.Second))
	defer cancel()
	began := time.Now()
	err := c.NewGroup(kafka.GroupConfig{ID: "team", Topic: "team-offsets", Partitions: sharedPartitions}).Follow(ctx, func([]int32) { cancel() })
	if err != nil || time.Since(began) > 20*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}
