package offsets

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/calcdc/calcdc/connector"
)

// TestConcurrentStreams commits many streams at once while their indexes are read, as passes do.
func TestConcurrentStreams(t *testing.T) {
	k := newFakeKafka()
	l, _ := loaded(t, k)
	var g errgroup.Group
	histories := make([]*history, 8)
	for i := range histories {
		s := connector.Stream{Source: "work", Account: fmt.Sprint(i), Collection: "/", Kind: connector.Events}
		h := newHistory(rand.New(rand.NewPCG(uint64(i), 1)), s)
		histories[i] = h
		index := l.Open(s).Index
		done := make(chan struct{})
		g.Go(func() error {
			defer close(done)
			for range 30 {
				if err := l.Commit(t.Context(), []connector.Transaction{h.next()}); err != nil {
					return err
				}
			}
			return nil
		})
		g.Go(func() error {
			for {
				for id, r := range index.Resources() {
					index.Resource(id)
					for _, row := range r.Rows {
						index.Row(row)
						if _, err := index.Body(row); err != nil {
							return err
						}
					}
				}
				select {
				case <-done:
					return nil
				default:
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	_, all := loaded(t, k)
	for _, h := range histories {
		equal(t, "loaded anew", imageOf(t, all[h.s]), h.image)
		equal(t, "in memory", imageOf(t, l.Open(h.s)), h.image)
	}
}
