package offsets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/calcdc/calcdc/connector"
)

// Change is an offset that an operator sets; nil forgets the stream's.
type Change struct {
	Stream connector.Stream
	Offset *connector.Offset
}

// Effect is what a change comes to.
type Effect string

// The effects of changes.
const (
	Unchanged Effect = "unchanged"
	GoesOn    Effect = "goes on from the token"
	ReadAnew  Effect = "read anew, in its next epoch (requested)"
	NotKnown  Effect = "read anew, in its next epoch (state-lost): nothing else is known of it"
)

// Effect tells what a change comes to, given what is committed of its stream; the error says why it makes no sense.
func (e Entry) Effect(c Change) (Effect, error) {
	if err := c.valid(); err != nil {
		return "", err
	}
	switch {
	case c.Offset == nil && e.State == nil && e.Offset == nil:
		return "", errNoStream
	case c.Offset == nil && e.State == nil:
		return "", fmt.Errorf("its state is lost: without the offset, epoch %d would no longer be known; calcdc run mends it", e.Epoch())
	case e.State != nil && e.State.KeyFormat != keyFormat:
		return "", fmt.Errorf("its keys are of the format %q, which this calcdc does not write", e.State.KeyFormat)
	case e.State != nil && (e.State.Phase == connector.Removing || e.State.Phase == connector.RemovedAll):
		return "", errors.New("its collection is gone: should it come back, it is read from its beginning")
	case c.Offset != nil && c.Offset.Epoch < e.Epoch():
		return "", fmt.Errorf("epoch %d is below %d, the highest known: an epoch never goes back", c.Offset.Epoch, e.Epoch())
	case e.State == nil:
		return NotKnown, nil
	case c.Offset == nil || c.Offset.Token == "":
		return ReadAnew, nil
	}
	return e.token(c.Offset)
}

// token is the effect of setting a token on a stream that is known.
func (e Entry) token(o *connector.Offset) (Effect, error) {
	due := e.State.Due
	if due == "" {
		due = e.State.Mending
	}
	switch {
	case due != "":
		return "", fmt.Errorf("a reset is due (%s), which no token can stand for", due)
	case e.State.Phase == connector.Snapshot:
		return "", errors.New("a snapshot is in progress: not all of its rows are known, so that no token can be followed; wait for its end")
	case o.Epoch > e.State.Epoch:
		return "", fmt.Errorf("epoch %d is above %d, the stream's: an epoch begins with a snapshot; give a token or an epoch", o.Epoch, e.State.Epoch)
	case e.Offset != nil && e.Offset.Token == o.Token && e.Offset.ConfigHash == o.ConfigHash:
		return Unchanged, nil
	}
	return GoesOn, nil
}

// Epoch is the highest known.
func (e Entry) Epoch() int64 {
	var n int64
	if e.State != nil {
		n = e.State.Epoch
	}
	if e.Offset != nil {
		n = max(n, e.Offset.Epoch)
	}
	return n
}

func (c Change) valid() error {
	s := c.Stream
	switch s.Kind {
	case connector.Events, connector.ACL:
		if s.Collection == "" {
			return fmt.Errorf("a stream of %s is of a collection: name it", s.Kind)
		}
	case connector.Calendars, connector.Settings:
		if s.Collection != "" {
			return fmt.Errorf("a stream of %s is of an account, not of a collection", s.Kind)
		}
	default:
		return fmt.Errorf("%q is no kind of stream: events, calendars, acl, settings are", s.Kind)
	}
	if s.Source == "" || s.Account == "" {
		return errors.New("source and account must be named")
	}
	return checkTransaction(&connector.Transaction{Stream: s, Offset: c.Offset})
}

// Set commits changes in one transaction, those that make sense all of them, or none. It needs a Load before.
func (l *Ledger) Set(ctx context.Context, changes ...Change) error {
	var txs []connector.Transaction
	for _, c := range changes {
		cp := l.Open(c.Stream)
		effect, err := Entry{Stream: c.Stream, Offset: cp.Offset, State: cp.State}.Effect(c)
		if err == nil && cp.Refused != nil {
			err = cp.Refused
		}
		if err != nil {
			return fmt.Errorf("setting the offset of %s: %w", c.Stream, err)
		}
		if effect == Unchanged {
			continue
		}
		tx := connector.Transaction{Stream: c.Stream, Offset: c.Offset, Forget: c.Offset == nil}
		if o := c.Offset; o != nil && cp.State != nil && o.Epoch > cp.State.Epoch {
			cp.State.Epoch = o.Epoch // the next one is above it
			tx.State = cp.State
		}
		txs = append(txs, tx)
	}
	return l.Commit(ctx, txs)
}

// Import reads changes in the form of Kafka Connect's GET /connectors/{name}/offsets, as Export writes it; an offset that is null forgets
// the stream's, as with its PATCH. Fields that are not known are errors, and so is a stream that comes twice.
func Import(r io.Reader) ([]Change, error) {
	var in struct {
		Offsets *[]struct {
			Partition *connector.Stream `json:"partition"`
			Offset    *offsetValue      `json:"offset"`
		} `json:"offsets"`
	}
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	err := dec.Decode(&in)
	var odd *json.UnmarshalTypeError
	if errors.As(err, &odd) {
		err = fmt.Errorf("at byte %d there is a JSON %s, which cannot stand there", odd.Offset, odd.Value)
	}
	if err != nil {
		return nil, fmt.Errorf("reading offsets in the form of calcdc offsets export: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("reading offsets in the form of calcdc offsets export: something follows them")
	}
	if in.Offsets == nil {
		return nil, errors.New(`reading offsets in the form of calcdc offsets export: there is no list of "offsets"`)
	}
	var all []Change
	seen := map[connector.Stream]bool{}
	for i, e := range *in.Offsets {
		if e.Partition == nil {
			return nil, fmt.Errorf("offset %d has no partition", i+1)
		}
		c := Change{Stream: *e.Partition}
		if e.Offset != nil {
			if e.Offset.Epoch < 0 || e.Offset.ReconciledMs < 0 || e.Offset.CommittedMs < 0 {
				return nil, fmt.Errorf("%s: a number is negative", c.Stream)
			}
			c.Offset = e.Offset.offset()
		}
		if err := c.valid(); err != nil {
			return nil, fmt.Errorf("offset %d, of %s: %w", i+1, c.Stream, err)
		}
		if seen[c.Stream] {
			return nil, fmt.Errorf("%s comes twice", c.Stream)
		}
		seen[c.Stream] = true
		all = append(all, c)
	}
	return all, nil
}
