package kafka

import (
	"testing"
	"testing/synctest"
	"time"
)

// A few transactions run at once; one that finds no place waits for a moment only, since those that run may hang.
func TestTransactionsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{running: make(chan struct{}, transactions)}
		began := time.Now()
		var leave []func()
		for range transactions {
			leave = append(leave, c.enter())
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("the first waited for %v", waited)
		}
		c.enter()()
		if waited := time.Since(began); waited != transactionsBehind {
			t.Errorf("one more waited for %v", waited)
		}
		entered := make(chan time.Duration)
		go func() {
			from := time.Now()
			c.enter()()
			entered <- time.Since(from)
		}()
		time.Sleep(transactionsBehind / 2)
		leave[0]()
		if waited := <-entered; waited != transactionsBehind/2 {
			t.Errorf("the next waited for %v", waited)
		}
	})
}
