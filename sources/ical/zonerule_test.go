package ical

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/teambition/rrule-go"
)

// TestExpandAgreesWithRRule compares the wall times of zones' rules with rrule-go's.
func TestExpandAgreesWithRRule(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	some := func(p float64, part string) string {
		if rnd.Float64() < p {
			return ";" + part
		}
		return ""
	}
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	fixed := []string{"", ";BYMONTH=3;BYDAY=-1SU", ";BYMONTH=11;BYDAY=1SU", ";BYMONTH=3;BYDAY=SU;BYMONTHDAY=8,9,10,11,12,13,14", ";BYMONTH=2;BYMONTHDAY=29", ";BYDAY=1SU", ";BYMONTHDAY=-1"}
	total := 0
	for i := range 40 {
		rule := "FREQ=YEARLY"
		if i < len(fixed) {
			rule += fixed[i]
		} else {
			rule += some(0.7, fmt.Sprintf("BYMONTH=%d", 1+rnd.IntN(12))) + some(0.6, "BYDAY="+pick("-1SU", "1SU", "2SU", "5FR", "-2TH", "SU", "MO,TU", "1SU,-1SU", "4TH")) +
				some(0.3, "BYMONTHDAY="+pick("1", "-1", "8,9,10,11,12,13,14", "28", "-3,15")) + some(0.2, fmt.Sprintf("INTERVAL=%d", 1+rnd.IntN(3))) +
				some(0.2, fmt.Sprintf("COUNT=%d", 1+rnd.IntN(20))) + some(0.2, "UNTIL=20"+fmt.Sprintf("%02d", rnd.IntN(40))+"0601T000000")
		}
		if strings.Contains(rule, "COUNT") && strings.Contains(rule, "UNTIL") {
			continue
		}
		o := observance{start: time.Date(2000+rnd.IntN(50), time.Month(1+rnd.IntN(12)), 1+rnd.IntN(28), 2, 30, 0, 0, time.UTC).Unix()}
		option, err := rrule.StrToROption(rule)
		if err != nil {
			t.Fatal(err)
		}
		option.Dtstart = time.Unix(o.start, 0).UTC()
		if end := time.Date(lastRuleYear, 12, 31, 23, 0, 0, 0, time.UTC); option.Until.IsZero() {
			option.Until = end
		}
		r, err := rrule.NewRRule(*option)
		if err != nil {
			t.Fatal(err)
		}
		var want []int64
		for _, x := range r.All() {
			want = append(want, x.Unix())
		}
		want = want[:min(len(want), MaxOnsets)]
		total += len(want)
		if got := expand(rule, &o); !slices.Equal(got, want) {
			t.Errorf("%s from %s: got %d times, want %d", rule, option.Dtstart, len(got), len(want))
		}
	}
	if total < 2_000 {
		t.Errorf("only %d times compared", total)
	}
}
