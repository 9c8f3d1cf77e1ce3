// Package sim plays the whole connector against a simulated world: the connector, its ledgers and its Kafka client are the real ones,
// the cluster is kfake on a network in memory, the calendar service is one that lies, forgets and fails, and time is a bubble's
// (testing/synctest), so that ten minutes take a fifth of a second.
//
// Everything that happens to a seed is a function of it: weather at the service, requests that are lost or whose answers are, codes of
// the brokers, leaders that move and that do not know yet that they have, crashes, workers that come, go and are cut off, tools that take
// a partition, tokens that are forgotten, snapshots that are asked for, deletions that are held, refused and approved of. In a
// quarter of the seeds workers keep a local cache on a machine's disk, which outlives them: what they had not yet brought there is lost, and now
// and then some of what nobody had synchronised, or a byte is another, or an older copy stands in its place. In every third seed
// topics are lost: the state, the offsets, both, or a data topic, with nobody there or while all run on. In half of the
// seeds there is no reconcile, which would make good what another rule has missed. What is met is counted: a simulation in which
// something never happens any more fails. What was committed is read by a reader of the package's own, folded, and held against the rules
// of the contract at every record, against the state at any moment, and against the service when the weather has been fair for a while.
//
//	make sim                    as many seeds as two minutes allow, some hundreds at least
//	make sim SEEDS=5000         so many
//	make sim SEED=17            one alone, with its trace in sim.trace
//	make mutants                every rule taken out of the code in turn: each must be missed (ONLY=text, SHARD=1/9)
//
// The make targets build with the overlay of the replay command, with which a seed's history is the same to the last byte, in any
// process (the test sees to it). With the ordinary runtime (go test ./test/sim) a seed's faults are the same, but which of two
// goroutines runs first may differ, and so what they meet.
package sim
