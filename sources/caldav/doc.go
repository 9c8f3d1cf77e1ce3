// Package caldav reads calendars from CalDAV services (RFC 4791): it is a connector.Account over discovery, the home's
// listing, sync-collection (RFC 6578) and calendar-multiget.
//
// A poll of a collection is a small pipeline (see run): one goroutine reads the listing as it comes, several fetch
// and parse bodies, and the caller takes pages, in order, at its own pace. Memory is bounded by the jobs ahead, not by
// the answer.
//
// The three requests are written here rather than taken from a library because what matters is in their corners:
// raw bytes, one verdict a response, paging, dead tokens in every dialect, and answers of any length from servers
// that may be hostile. Nothing here decides a deletion: a page says what was shown, and only an answer that was read to
// its end ends with a token (Invariants 2 and 3).
package caldav
