// Package verify judges what calcdc has published: the topics, folded, must hold what the sources hold.
//
// A record is taken apart in record.go, whoever reads it. History is the strict judge of tests, which see every record from the first:
// it holds whole rows and knows each rule of the contract. Run is the command's, for topics of any size that compaction has thinned
// out: it keeps a hash of each row, lists the sources, and looks again before it calls anything a difference.
package verify
