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
// Benchmarks of a client set Options.NoGzip as well.
package googleserver
