package demo

import (
	"context"
	"net"
	"time"
)

// calendars is the server of the demo: what happens in it on the left, what consumers must come to hold on the right.
type calendars interface {
	// Serve answers on ln until ctx ends.
	Serve(ctx context.Context, ln net.Listener) error
	// reach says in e how the connector reaches the server, whose URL without a path is given.
	reach(url string, e *Endpoints)
	// name is people's word for a collection.
	name(collection string) string
	diary
	truth
}

// diary is what may happen to calendars. They are named by people's own word.
type diary interface {
	make(cal, name, color string)
	rename(cal, name string)
	put(cal string, m *meeting) // for the first time or again
	remove(cal string, m *meeting)
	moveOne(cal string, m *meeting, from, to time.Time) // an instance of a series
	down(yes bool)                                      // all requests of others fail
	forget(cal string) (told string)                    // the sync tokens of a calendar's events die
	more(l *life) []step                                // what only this server has
}

// truth is what the topics, folded, are to be.
type truth interface {
	// held is what the server holds: of each object, what its rows must say.
	held() map[object]string
	// objectOf tells of which object a row is, and what it says of it; nil: nothing, and another row of it does.
	objectOf(r record) (object, *string)
}

// object is a thing that the server holds, named by its stream and as its keys name it.
type object struct{ stream, collection, id string }
