// Package googleserver is a Google Calendar API v3 server that lives in the process: users, their calendar lists,
// calendars with events and access control lists, and settings, served for reading to any v3 client. Its behaviour is
// that of the API's discovery document and of Google's guides on synchronisation and errors; where those leave a
// freedom, an option says which way it goes.
//
// Start it on any listener, or use it as the http.Handler it is:
//
//	s := googleserver.New(googleserver.Options{})
//	err := s.AddUser("alice@example.org")                    // with a primary calendar of the same id
//	err = s.AddCalendar("alice@example.org", "team@group.calendar.google.com", googleserver.Calendar{Summary: "Team"})
//	id, err := s.PutEvent("alice@example.org", "primary", `{"id":"lunch1","summary":"Lunch","start":{…},"end":{…}}`)
//	go s.Serve(ctx, ln)                                      // returns when ctx ends
//
// Clients use the endpoint googleserver.Endpoint("http://" + ln.Addr().String()) and the bearer token s.Token(user).
//
// Every item is encoded when it is put and served as those bytes, so that a page costs little more than its copying.
// Benchmarks of a client set Options.NoGzip as well. As at Google, bodies are indented unless prettyPrint=false.
//
// # Lists and tokens
//
// Full lists keep the order in which items were first put, so that pages neither lose nor repeat what is there all the
// time. Their sync token stands at the listing's begin: what changes in its middle is in the delta that follows.
// Deltas come in the order of the changes.
//
// A sync token of another user, or of another calendar, is 410 fullSyncRequired; one of another kind of list, or of a
// query with other parameters (maxResults, and showDeleted and showHidden aside), is 400. Changing a user's role on a
// calendar ends that user's tokens of its events. [Server.Forget] and [Server.ForgetAll] end tokens on demand, in each
// of the ways that Google documents; [Server.ForgetPages] ends page tokens.
//
// # What it does not do
//
// There are no writes over HTTP (405), no watch channels, no batches and no free/busy queries; members of groups are not
// known, so that rules for groups give nobody a role; lists that expand series (singleEvents, instances) hold at
// most 1,000 instances of each and give no sync token; a token from a list with timeMin or timeMax leads to deltas
// without those bounds.
package googleserver
