package connector

import "time"

// builder gathers one transaction of a pass.
type builder struct {
	p     *pass
	env   envelope
	state StreamState // as it will be once the transaction is committed
	tx    Transaction
	size  int // bytes of the records
}

// begin opens a transaction. The first of a snapshot starts with the marker and the null token: they become visible
// together with the first page.
func (p *pass) begin() *builder {
	b := &builder{p: p, state: p.state}
	b.tx.Stream = p.cp.Stream
	b.state.Commit++
	b.state.RowVersion, b.state.KeyFormat = RowVersion, "json"
	b.state.Connector = p.source.Connector
	if p.mark != nil {
		b.state.Epoch++
		b.state.Phase, b.state.Reason, b.state.Due, b.state.Partition = Snapshot, p.mark.Reason, "", p.partition
		b.state.Base = p.state.Rows
		if p.heard != nil && p.heard.beyond(b.state.Signal) { // what was asked for until the pass began is done by this snapshot
			b.state.Signal = p.heard
		}
	}
	b.env = envelope{
		cfg: p.owner.c.cfg, connector: p.source.Connector, stream: p.cp.Stream, partition: b.state.Partition,
		notify: p.notify, epoch: b.state.Epoch, commit: b.state.Commit, now: time.Now(),
	}
	if p.mark != nil {
		b.tx.Records = b.env.mark(*p.mark)
		b.tx.Offset = &Offset{Epoch: b.state.Epoch, ConfigHash: p.configHash, CommittedMs: b.env.now.UnixMilli()}
	}
	return b
}

// add wraps what one resource comes to, and notes what is known of it from then on.
func (b *builder) add(id string, v view, out outcome) error {
	if out.same {
		return nil
	}
	for _, c := range out.changes {
		before, err := b.before(c)
		if err != nil {
			return err
		}
		n := len(b.tx.Records)
		b.tx.Records = b.env.records(b.tx.Records, c, before, b.p.snap && (c.op == opRead || c.op == opDelete))
		for _, r := range b.tx.Records[n:] {
			b.size += len(r.Key) + len(r.Value)
		}
		if c.row.JSON != nil { // the one that it was made from need not wait for the commit
			c.row.JSON = b.env.after(b.tx.Records[n].Value, c, before)
		}
		b.note(v, c)
	}
	switch {
	case out.state == nil && v.ok:
		b.state.Resources--
	case out.state != nil && !v.ok:
		b.state.Resources++
	}
	b.tx.Resources = append(b.tx.Resources, ResourceChange{ID: id, State: out.state})
	return nil
}

// note keeps what the change leaves known of its row.
func (b *builder) note(v view, c change) {
	row := RowChange{ID: c.id, Deleted: c.op == opDelete, Hash: c.row.Hash}
	if b.p.owner.c.cfg.Before == BeforeFull || b.p.cp.Stream.Kind == Calendars { // to carry missing ones into a new epoch
		row.Body = c.row.JSON
	}
	_, known := v.row(c.id)
	switch {
	case row.Deleted && known:
		b.state.Rows--
	case !row.Deleted && !known:
		b.state.Rows++
	}
	b.tx.Rows = append(b.tx.Rows, row)
}

// before is what the change's envelope shows of the old row.
func (b *builder) before(c change) ([]byte, error) {
	mode := b.p.owner.c.cfg.Before
	if mode == BeforeNone || c.op == opCreate || c.op == opRead {
		return nil, nil
	}
	if mode == BeforeFull {
		body, err := b.p.cp.Index.Body(c.id)
		if err != nil || body != nil {
			return body, err
		}
	}
	return b.p.cp.Stream.Key(c.id), nil
}

// end adds the snapshot's end marker.
func (b *builder) end() {
	b.state.Phase = Streaming
	m := marker{Type: markEnd, Reason: b.state.Reason, Count: b.state.Rows}
	b.tx.Records = append(b.tx.Records, b.env.mark(m)...)
}

// full tells that a transaction of deletions has become large: each shows the row as it was.
func (b *builder) full() bool { return b.size >= sweepBytes }

// empty tells that there is nothing to commit but, perhaps, an offset.
func (b *builder) empty() bool {
	return len(b.tx.Records) == 0 && len(b.tx.Resources) == 0 && !b.tx.Forget &&
		b.state.Phase == b.p.state.Phase && b.state.Compares == b.p.state.Compares && b.state.Hold == b.p.state.Hold
}

// transaction completes what was gathered. Its state is a copy: it is kept for as long as the stream is followed.
func (b *builder) transaction() Transaction {
	if !b.empty() {
		state := b.state
		b.tx.State = &state
	}
	return b.tx
}
