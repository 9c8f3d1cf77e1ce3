package connector

import (
	"context"
	"slices"
	"sync"
)

// Share is this process's part of the partitions of <name>-offsets: all processes of one name divide them.
type Share interface {
	// Follow calls assigned with all the partitions of this process, at once and again whenever they are others, until ctx ends. It
	// then gives them up, so that other processes take them over, and returns nil. An error says that it cannot go on.
	//
	// What is assigned is advice: somebody else may still, or already, act as the owner of a partition. Fencing is the lock
	// (Invariant 4).
	Follow(ctx context.Context, assigned func(partitions []int32)) error
}

// All is the share of a process that has the name to itself: so many partitions.
type All int32

// Follow implements Share.
func (n All) Follow(ctx context.Context, assigned func(partitions []int32)) error {
	all := make([]int32, n)
	for i := range all {
		all[i] = int32(i)
	}
	assigned(all)
	<-ctx.Done()
	return nil
}

// Run follows the sources' streams in the partitions of share until ctx ends (then it returns nil, once what was being committed has
// been and the share has been given up, in this order), or until share cannot go on. ledger makes the Ledger of a partition: a new one
// each time that the partition becomes ours.
func (c *Connector) Run(ctx context.Context, share Share, ledger func(partition int32) Ledger) error {
	ctx, stop := context.WithCancel(ctx)
	sharing, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	assigned, ended := make(chan []int32), make(chan error, 1)
	go func() {
		defer stop()
		ended <- share.Follow(sharing, func(partitions []int32) {
			select {
			case assigned <- partitions:
			case <-ctx.Done():
			}
		})
	}()
	var besides sync.WaitGroup
	besides.Go(func() { c.keepRosters(ctx) })
	besides.Go(func() { c.board.run(ctx) })
	c.hold(ctx, assigned, ledger)
	giveUp()
	besides.Wait()
	return <-ended
}

// holding is a partition that is ours, or was and still ends.
type holding struct {
	stop      context.CancelFunc // ends what runs in it
	ended     chan struct{}
	ours      bool
	confirmed chan struct{} // holds one where the share has been told again to have it
}

// confirm tells the owner that the partition still is ours.
func (h *holding) confirm() {
	select {
	case h.confirmed <- struct{}{}:
	default:
	}
}

// hold runs an owner in each assigned partition until ctx ends; it returns once all owners have ended. An owner that stays is not
// disturbed by what becomes of the others.
func (c *Connector) hold(ctx context.Context, assigned <-chan []int32, ledger func(int32) Ledger) {
	held := map[int32]*holding{}
	for {
		select {
		case <-ctx.Done():
			for _, h := range held {
				<-h.ended
			}
			return
		case partitions := <-assigned:
			c.obs.Assigned(partitions)
			for p, h := range held {
				if h.ours && !slices.Contains(partitions, p) {
					h.ours = false
					h.stop()
				}
			}
			for _, p := range partitions {
				if h := held[p]; h == nil || !h.ours {
					held[p] = c.take(ctx, p, ledger, h)
				} else {
					h.confirm()
				}
			}
		}
	}
}

// take begins to own a partition, once an earlier owner of this process has ended.
func (c *Connector) take(ctx context.Context, partition int32, ledger func(int32) Ledger, earlier *holding) *holding {
	own, stop := context.WithCancel(ctx)
	h := &holding{stop: stop, ended: make(chan struct{}), ours: true, confirmed: make(chan struct{}, 1)}
	go func() {
		defer close(h.ended)
		defer stop()
		if earlier != nil {
			<-earlier.ended
		}
		o := &owner{c: c, partition: partition, ledger: ledger(partition), confirmed: h.confirmed}
		o.run(own)
		if ctx.Err() == nil {
			o.leave()
		}
	}()
	return h
}
