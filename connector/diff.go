package connector

// change is what becomes one record: a row that is new (c), other than it was (u), gone (d), or read in a
// snapshot (r).
type change struct {
	op  string
	id  string
	row Row // zero for d
}

// outcome is what a resource's page entry comes to: changes to publish, and what is known from then on.
type outcome struct {
	changes []change
	state   *ResourceState // nil: nothing is known of it any more
	same    bool           // the state is what it was: nothing to commit
}

// view is what a diff needs of the past.
type view struct {
	known    ResourceState
	ok       bool // known holds something
	row      func(id string) (Hash, bool)
	snapshot bool  // rows are published whether they differ or not, once an epoch
	brief    bool  // a snapshot in which they are published only where they differ
	epoch    int64 // of the stream
}

// diffRead compares a resource as the server holds it with what is known of it. Bytes that are what they were
// publish nothing outside a snapshot, whatever their ETag; in one, once an epoch, their rows may differ all the same: in their form, as a
// release or the configuration has changed it.
func diffRead(v view, res Resource) outcome {
	next := ResourceState{ETag: res.ETag, Hash: res.Hash, Epoch: v.epoch, Parent: res.Parent, Rows: rowIDs(v.known.Rows, res.Rows)}
	sameBytes := v.ok && res.Hash == v.known.Hash && res.Hash != Hash{}
	if sameBytes && (!v.snapshot && !v.brief || v.known.Epoch == v.epoch) {
		next.Rows, next.Epoch = v.known.Rows, v.known.Epoch
		return outcome{state: &next, same: next.ETag == v.known.ETag && next.Parent == v.known.Parent && !v.known.Unknown}
	}
	var out outcome
	out.state = &next
	kept := make(map[string]struct{}, len(res.Rows))
	for _, r := range res.Rows {
		kept[r.ID] = struct{}{}
		if op := v.op(r); op != "" {
			out.changes = append(out.changes, change{op: op, id: r.ID, row: r})
		}
	}
	for _, id := range v.known.Rows {
		if _, ok := kept[id]; !ok {
			out.changes = append(out.changes, change{op: opDelete, id: id})
		}
	}
	return out
}

// op tells what a row that is there comes to; "" where nothing is to be published.
func (v view) op(r Row) string {
	old, known := v.row(r.ID)
	same := known && old == r.Hash
	switch {
	case v.snapshot && !(same && v.known.Epoch == v.epoch):
		return opRead
	case !known:
		return opCreate
	case !same:
		return opUpdate
	}
	return ""
}

// diffGone deletes all rows of a resource.
func diffGone(v view) outcome {
	var out outcome
	for _, id := range v.known.Rows {
		out.changes = append(out.changes, change{op: opDelete, id: id})
	}
	out.same = !v.ok
	return out
}

// diffUnread is a resource that is listed and whose body could not be had: its version is unknown from now on and
// its rows stay as they are. In a snapshot they are read again from what was kept, so that no row of an older epoch
// outlives the snapshot's end; body returns nil where a row was not kept, and then instead stands for it, if given,
// else it is deleted.
func diffUnread(v view, unknown bool, instead []Row, body func(id string, hash Hash) *Row) outcome {
	next := v.known
	next.Unknown = v.known.Unknown || unknown
	out := outcome{state: &next, same: v.ok && next.Unknown == v.known.Unknown}
	switch {
	case len(v.known.Rows) == 0:
		out.replace(v, instead)
	case v.snapshot && v.known.Epoch != v.epoch:
		out.republish(v, instead, body)
	}
	return out
}

// replace publishes rows where none was known.
func (o *outcome) replace(v view, rows []Row) {
	o.state.Epoch = v.epoch
	for _, r := range rows {
		o.changes = append(o.changes, change{op: v.op(r), id: r.ID, row: r})
	}
	if len(rows) > 0 {
		o.state.Rows, o.same = rowIDs(nil, rows), false
	}
}

// republish reads the known rows again from what was kept.
func (o *outcome) republish(v view, instead []Row, body func(id string, hash Hash) *Row) {
	o.same = false
	rows := make([]Row, 0, len(v.known.Rows))
	for _, id := range v.known.Rows {
		hash, _ := v.row(id)
		if r := body(id, hash); r != nil {
			r.ETag = v.known.ETag
			rows = append(rows, *r)
		}
	}
	if len(rows) < len(v.known.Rows) {
		rows = instead
		o.state.Hash = Hash{} // what is published is no longer what these bytes come to
	}
	again := diffRead(v, Resource{Rows: rows})
	o.changes = again.changes
	o.state.Epoch, o.state.Rows = v.epoch, rowIDs(v.known.Rows, rows)
}

// rowIDs lists the ids of rows, reusing old where they are the same.
func rowIDs(old []string, rows []Row) []string {
	same := len(old) == len(rows)
	for i := 0; same && i < len(rows); i++ {
		same = old[i] == rows[i].ID
	}
	if same {
		return old
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	return ids
}
