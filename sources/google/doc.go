// Package google reads Google Calendar: a connector.Account for each user, whose streams are the events of its
// calendars, the list of its calendars, the access rules of those it owns, and its settings.
//
// Requests go through Google's own client; the answers of lists are decoded while they are read, so that each item is
// had as the bytes that were sent. A stream resumes from the list's nextSyncToken. Where those do not serve, it does
// otherwise, and its calendars row says how:
//
//   - sync-token: the default.
//   - updated-min: with Filter.UpdatedMin, for filters that sync tokens refuse. The token is the server's time at the
//     beginning of the poll; a poll asks for what was changed since, and some minutes before.
//   - full: calendars that Google generates (birthdays, holidays), whose deltas leave things out. Every poll lists
//     them, but for those that fit one page and answer 304 to their ETag.
package google
