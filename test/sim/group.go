package sim

import (
	"context"
	"time"
)

// seat is a worker in the group that hands out the partitions, as a consumer group does: not at one moment to all of them, and one
// that is silent keeps its share for a while. What it says is advice. It implements connector.Share.
type seat struct {
	w    *world
	name string
	next chan []int32

	// Guarded by the world's mu:
	in   bool // it has a share
	told int  // the newest generation that it was told of
	dead bool // it says nothing any more
}

const (
	session   = 10 * time.Second // until a silent member loses its share
	heartbeat = time.Second      // until each member knows of a change
)

func (w *world) newSeat(name string) *seat {
	return &seat{w: w, name: name, next: make(chan []int32, 256)}
}

// Follow implements connector.Share.
func (m *seat) Follow(ctx context.Context, assigned func([]int32)) error {
	m.w.mu.Lock()
	m.w.members = append(m.w.members, m)
	m.in = true
	m.w.share()
	m.w.mu.Unlock()
	for {
		select {
		case p := <-m.next:
			m.w.note("%s is assigned %v", m.name, p)
			assigned(p)
		case <-ctx.Done():
			m.w.mu.Lock()
			defer m.w.mu.Unlock()
			if m.in && !m.dead {
				m.in = false
				m.w.share()
			}
			m.dead = true
			return nil
		}
	}
}

// silent takes the share of a member that will say nothing for a while, once its session has ended; 0 is for ever.
func (w *world) silent(m *seat, d time.Duration) {
	w.mu.Lock()
	m.dead = d == 0
	w.mu.Unlock()
	go func() {
		time.Sleep(session)
		w.mu.Lock()
		if m.in {
			m.in = false
			w.share()
		}
		w.mu.Unlock()
		if d == 0 {
			return
		}
		time.Sleep(d - session)
		w.mu.Lock()
		defer w.mu.Unlock()
		m.in = !m.dead
		w.share()
	}()
}

// share divides the partitions anew. The caller holds mu.
func (w *world) share() {
	var in []*seat
	for _, m := range w.members {
		if m.in {
			in = append(in, m)
		}
	}
	if len(in) == 0 {
		return
	}
	r := w.dice.roll("share")
	shares := make([][]int32, len(in))
	for i, p := range r.Perm(partitions) {
		shares[i%len(in)] = append(shares[i%len(in)], int32(p))
	}
	w.generation++
	generation := w.generation
	for i, m := range in {
		time.AfterFunc(time.Duration(r.Int64N(int64(heartbeat))), func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if m.told < generation && !m.dead {
				m.told = generation
				m.next <- shares[i]
			}
		})
	}
}
