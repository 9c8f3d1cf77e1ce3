package verify

import (
	"cmp"
	"context"
	"sync"

	"github.com/calcdc/calcdc/connector"
)

// slots are the streams of a source that are read at once, and of one of its accounts.
type slots struct {
	source  chan struct{}
	each    int
	mu      sync.Mutex
	account map[string]chan struct{}
}

// passesPerSource is what run, too, reads at once of a source that does not say otherwise.
const passesPerSource = 8

func newSlots(s *connector.Source) *slots {
	n := cmp.Or(s.Passes, passesPerSource)
	return &slots{source: make(chan struct{}, n), each: min(n, cmp.Or(s.PassesPerAccount, n)), account: map[string]chan struct{}{}}
}

// do runs work once the account, and then the source, has room.
func (s *slots) do(ctx context.Context, account string, work func() error) error {
	s.mu.Lock()
	own := s.account[account]
	if own == nil {
		own = make(chan struct{}, s.each)
		s.account[account] = own
	}
	s.mu.Unlock()
	for _, slot := range []chan struct{}{own, s.source} {
		select {
		case slot <- struct{}{}:
			defer func() { <-slot }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return work()
}
