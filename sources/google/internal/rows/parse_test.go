package rows

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/calcdc/calcdc/connector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestTombstone: what only an id tells.
func TestTombstone(t *testing.T) {
	e := ParseEvent([]byte(`{"id":"abc_20260602T080000Z","status":"cancelled"}`))
	if !e.Cancelled() || e.SeriesID() != "abc" || e.ParseError != "" {
		t.Errorf("cancelled %t, series %q, parse error %q", e.Cancelled(), e.SeriesID(), e.ParseError)
	}
	row := string(e.Row(connector.Stream{Source: "s"}, Options{}).JSON)
	if !strings.Contains(row, `"kind":"override","series_id":"abc","recurrence_id":"20260602T080000Z"`) {
		t.Error(row)
	}
}
