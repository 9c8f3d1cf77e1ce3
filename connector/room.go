package connector

import "context"

// room bounds the bytes that have been read and are not yet committed, over all streams: while Kafka is slow, polls wait.
type room struct {
	turn  chan struct{} // held by whoever waits for units: a large transaction is not overtaken for ever
	units chan struct{}
}

// roomUnit is what a transaction takes at least: what belongs to it besides its records is in that.
const roomUnit = 64 << 10

// defaultRoom is the bytes of a room for which none are given.
const defaultRoom = 64 << 20

func newRoom(bytes int64) *room {
	return &room{turn: make(chan struct{}, 1), units: make(chan struct{}, max(1, bytes/roomUnit))}
}

// largeBytes is from where a transaction weighs four times its bytes: while it is committed, there are beside its records the state of
// their rows, and both as they are sent, before compression and after. Smaller ones share transactions whose size is bounded.
const largeBytes = 8 << 20

// weight is how much room so many bytes of records take.
func weight(bytes int) int {
	if bytes > largeBytes {
		return 4 * bytes
	}
	return bytes
}

// take waits for room for so many bytes, or for all there is where that is less, and returns what to give back.
func (r *room) take(ctx context.Context, bytes int) (units int, err error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	for want := min(1+weight(bytes)/roomUnit, cap(r.units)); units < want; units++ {
		select {
		case r.units <- struct{}{}:
		case <-ctx.Done():
			r.give(units)
			return 0, context.Cause(ctx)
		}
	}
	return units, nil
}

func (r *room) give(units int) {
	for range units {
		<-r.units
	}
}
