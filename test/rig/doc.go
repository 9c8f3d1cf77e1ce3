// Package rig is what the tests that run the real calcdc have in common: its process, its metrics, and a relay that
// stands between Kafka's clients and a broker and can do to their connections what networks do.
package rig
