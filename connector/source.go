package connector

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Account reads one principal of a source. It keeps no record of what was read before: that is the connector's.
// Its methods may be called at the same time for different streams.
type Account interface {
	// Name is the account as it stands in keys and rows; unique within its source.
	Name() string

	// Connect finds the account on its server (discovery). It is cheap once it has succeeded, until a poll shows that
	// the home has moved.
	Connect(ctx context.Context) error

	// ConfigHash is a hash of what the tokens of a kind of stream depend on: server, principal, component set, the
	// parameters of the query. It is asked for after Connect has succeeded.
	ConfigHash(kind Kind) string

	// Poll reads one stream. It has no side effects and may be repeated; pages come in order and no resource is
	// split between pages. It ends after the page with Last set, or with an error, after which no page follows.
	// ErrTokenInvalid means that the server has forgotten q.Token; ErrGone that the collection is not there.
	Poll(ctx context.Context, q Query) iter.Seq2[Page, error]

	// Look asks directly for what a listing did not show (Invariant 3): resources of an events stream, at most
	// 100 ids, or collections of a calendars stream. The answer has one Presence for each id: for members Gone or Read
	// (still there), for collections also Forbidden, and Failed where it could not be told: then the error says why,
	// beside an answer that holds for the others.
	Look(ctx context.Context, s Stream, ids []string) ([]Presence, error)
}

// Query says what a poll shall read.
type Query struct {
	Stream Stream
	// Token is what the server gave at the end of an earlier poll, byte for byte; "" lists everything.
	Token string
	// Needs tells whether the body of a listed resource is wanted, given its ETag ("" where the server has none).
	// A resource that is not needed is reported as Listed. It is called for listings only: what a delta lists is
	// always fetched. The call may come from another goroutine than the one that takes the pages, until Poll ends.
	Needs func(id, etag string) bool
	// Fresh says that Needs will want every body, or nearly, as in a snapshot: the listing may as well bring them.
	Fresh bool
	// Pending are resources to fetch besides what a delta lists: their body could not be had before. A poll that shows
	// everything shows none that it does not list: they are gone.
	Pending []string
}

// Page is a part of a poll's answer: at most 500 resources, and about 4 MiB of bodies.
type Page struct {
	Resources []Resource
	// Token is the offset that holds once this page is committed: set on the last page, and in a delta on any page
	// that the server ended with a full token (RFC 6578 3.6). Never set beside an error or a cut answer (Invariant 2).
	Token string
	// Last says that the answer was read to its end without error.
	Last bool
	// Listing, on the last page, says that this poll showed everything the stream holds: what it did not show is
	// absent. It is set for every query without a token, and by streams that can only list.
	Listing bool
	// Overlap says of a delta's page that it may show again what an earlier poll has shown: a member that is as it was
	// is then no sign that the server has forgotten the token.
	Overlap bool
}

// Presence says what a poll learned of a resource.
type Presence int

// What a poll can learn of a resource.
const (
	Listed    Presence = iota // in a listing, and Needs wanted no body
	Read                      // Rows and Hash are what the server holds
	Removed                   // the delta says that it is gone, and with it its children
	Missing                   // listed (or pending), but absent when its body was asked for
	Failed                    // its body was refused (Err); Rows hold one row with parse_error to publish in its stead
	Ignored                   // listed, but the configuration does not follow it (collections)
	Gone                      // Look: not there (404, 410)
	Forbidden                 // Look: not ours to see (403)
)

// Resource is one object of a collection as a poll shows it: an iCalendar resource, a Google event, or, in a
// calendars stream, a collection.
type Resource struct {
	ID       string // its name in the state: for CalDAV the normal form of the href
	Presence Presence
	ETag     string // "" where the server gives none
	Hash     Hash   // of the body's bytes
	Rows     []Row  // in id order
	Err      error  // of Failed
	Hint     Hint   // of a collection
	// Parent is the id of the resource that this one goes with, e.g. the series of an exception that is a resource of
	// its own: when the parent is Removed, so is this one, whether the delta says so or not; what the same delta shows is
	// looked at before. "" where there is none.
	Parent string
	// Streams are the kinds of stream that a collection has; nil stands for events alone.
	Streams []Kind
}

// Hint is the cheap sign, from the listing of the collections, that a collection has moved: its sync-token or
// ctag, compared for equality only. An empty Value means that every poll must look.
type Hint struct {
	Value string
	// Coarse is how long Value may stay as it is while the collection moves, where it is a time; else 0. A collection that has
	// moved is looked at until that long has passed, and once more at least, at the next poll.
	Coarse time.Duration
}

// Conditions that a source reports and the connector branches on. Sources wrap them with the request and the answer.
var (
	// ErrTokenInvalid: the server no longer knows the token. The stream is reset.
	ErrTokenInvalid = errors.New("sync token is no longer valid")
	// ErrGone: the collection is not there (404, 410). Nothing is deleted for it: that is decided by the calendars stream.
	ErrGone = errors.New("collection is not there")
)

// RetryAfter is met by errors that carry the server's own wish, e.g. of a 429.
type RetryAfter interface{ RetryAfter() time.Duration }
