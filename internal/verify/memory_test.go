package verify

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/connector"
)

// many is a topic of so many rows of 2 KiB, made as they are read, and the source that shows them.
type many struct {
	*world
	rows  int
	peak  uint64
	watch bool
}

func (m *many) row(i int) connector.Row {
	row := event(fmt.Sprintf("%08d-a-name-as-long-as-most.ics", i), "")
	row.JSON = append(row.JSON[:len(row.JSON)-1], `,"raw":"`+strings.Repeat("r", 1<<10)+`"}`...)
	return row
}

func (m *many) End(_ context.Context, topic string, p int32) (int64, error) {
	if topic == "cal.work.events" && p == 0 {
		return int64(m.rows), nil
	}
	return m.world.End(context.Background(), topic, p)
}

func (m *many) Read(ctx context.Context, topic string, p int32, from, until int64) iter.Seq2[connector.Committed, error] {
	if topic != "cal.work.events" || p != 0 {
		return m.world.Read(ctx, topic, p, from, until)
	}
	return func(yield func(connector.Committed, error) bool) {
		for i := from; i < until; i++ {
			row := m.row(int(i))
			rec := connector.Record{Topic: topic, Partition: p, Key: events.Key(row.ID), Value: envelopeOf(events, row, connector.RowVersion)}
			if !yield(connector.Committed{Record: rec, Offset: i}, nil) {
				return
			}
			m.measure(i)
		}
	}
}

// measure notes how much is live now and then.
func (m *many) measure(i int64) {
	if !m.watch || i%5_000 != 0 && i != 9_500 {
		return
	}
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	m.peak = max(m.peak, s.HeapAlloc)
}

func (m *many) Poll(ctx context.Context, q connector.Query) iter.Seq2[connector.Page, error] {
	if q.Stream != events {
		return m.world.Poll(ctx, q)
	}
	return func(yield func(connector.Page, error) bool) {
		for i := 0; i < m.rows; i += 500 {
			var page connector.Page
			for j := i; j < i+500; j++ {
				row := m.row(j)
				page.Resources = append(page.Resources, connector.Resource{ID: "/a/" + row.ID, Presence: connector.Read, ETag: "e", Rows: []connector.Row{row}})
			}
			m.measure(int64(i))
			page.Last = i+500 == m.rows
			page.Listing = page.Last
			if !yield(page, nil) {
				return
			}
		}
	}
}

// A row takes a hash, not its body: of 2 KiB 300 bytes at most (of more rows, 120), with all that goes with it.
func TestMemoryOfManyRows(t *testing.T) {
	const rows, bytesPerRow = 10_000, 300
	m := &many{world: newWorld(), rows: rows}
	m.cfg.Reader, m.cfg.Sources[0].Accounts = m, []connector.Account{m}
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	m.watch = true
	r, err := Run(t.Context(), m.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() || r.Rows != rows+1 {
		t.Errorf("%+v", r)
	}
	const page = 1 << 20
	if used := int64(m.peak) - int64(before.HeapAlloc) - page; used > rows*bytesPerRow {
		t.Errorf("%d rows took %d bytes, %d a row; want at most %d", rows, used, used/rows, bytesPerRow)
	} else {
		t.Logf("%d bytes a row", used/rows)
	}
}
