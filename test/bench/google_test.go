//go:build integration

package bench

import (
	"testing"
)

// BenchmarkGoogleSnapshot publishes a Google calendar of 50,000 events of about 1.2 KiB for the first time: from the first request
// for its events to the visible snapshot-end. The floors ask for the same pages.
func BenchmarkGoogleSnapshot(b *testing.B) {
	s := startGoogle(b, googleOptions{Calendars: 1, Events: snapshotted * 20 / 21})
	snapshots(b, s, 2, floorOptions{URL: s.URL, Token: s.Token})
}
