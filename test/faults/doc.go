// Package faults runs the real calcdc as a child process while its calendar server or its broker misbehaves, and has
// the oracle judge what it published. The calendar server is davserver, in the test's own process, because that can
// be made to fail at will; the broker is a real Apache Kafka. Its tests are integration tests: make integration.
package faults
