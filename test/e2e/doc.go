// Package e2e runs the real calcdc as a child process between real calendar servers and a real Apache Kafka, and has
// the oracle judge what it published. Its tests are integration tests: make integration.
package e2e
