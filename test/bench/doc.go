// Package bench measures calcdc, each figure beside a floor measured in the same run: what the same work costs without
// calcdc's promises. docs/performance.md says what is measured and how to read it.
//
// calcdc runs as its users run it, as a process of its own (cmd/calcdc, built by TestMain). The calendar server and
// the floors are processes too: this test binary, run again with another task (child_test.go), so that no garbage
// collector serves two sides of a comparison.
package bench
