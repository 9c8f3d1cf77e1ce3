// Package auth gets access tokens for Google's APIs: from a service account's key (for itself or, by domain-wide delegation,
// for a subject), from the refresh token of a user who signed in, from workload identity federation, from the machine's
// metadata server, by impersonating a service account without a key, or as they are given.
//
// A [Tokens] stands for one (subject, scopes): it keeps its token until shortly before that expires, and asks for the next
// one once, however many callers wait. Everything is bounded: the file, the answers, the time. Errors say what to do and
// never hold a secret (Invariant 9); they wrap what went wrong below HTTP, never what a library says of an answer.
package auth
