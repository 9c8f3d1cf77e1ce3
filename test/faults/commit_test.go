//go:build integration

package faults

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/calcdc/calcdc/internal/davserver"
	"github.com/calcdc/calcdc/internal/testenv"
	"github.com/calcdc/calcdc/test/rig"
)

// fewestCuts is how many it takes until the test has seen enough.
const fewestCuts = 24

// Connections to the broker break in the middle of transactions, often after the broker has committed and before
// calcdc knows: nothing is lost, nothing comes twice.
func TestCommitsOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	cut := newCutter(t, 5)
	k := testenv.NewKafka(t, testenv.KafkaOptions{Properties: map[string]string{"advertised.listeners": "PLAINTEXT://" + cut.Addr()}})
	cut.To(k.Addr())
	var users []string
	for i := range 8 {
		users = append(users, fmt.Sprintf("user%d", i))
	}
	cal := newCalendars(t, davserver.Options{}, users...)
	for _, u := range users {
		cal.fill(u, "work", 10)
	}
	in := newInstance(t, cut.Addr(), "offsets: {partitions: 12}\n", upstream{name: "work", cal: cal, users: users})
	in.start()
	in.settle()
	cut.arm(map[int]int{rig.EndTransaction: 3, rig.Produce: 8, rig.AddPartitions: 12, rig.InitProducerID: 20})
	rng := rand.New(rand.NewPCG(5, 5))
	all, by := 0, ""
	for began := time.Now(); all < fewestCuts; all, by = cut.counts() {
		if time.Since(began) > 50*time.Second {
			t.Fatalf("only %d cuts: %s", all, by)
		}
		in.run.Alive()
		live(cal, users[rng.IntN(len(users))], rng)
		time.Sleep(20 * time.Millisecond) // a steady life in the calendars
	}
	cut.arm(nil)
	t.Log("cuts by API key and moment:", by)
	in.settle()
	in.quiet()
	in.run.Stop()
}

// live makes one change to a user's calendars.
func live(cal *calendars, user string, rng *rand.Rand) {
	name := fmt.Sprintf("%d.ics", rng.IntN(14))
	switch p := rng.IntN(100); {
	case p < 55:
		cal.write(user, "work", name)
	case p < 85:
		cal.Delete(user, "work", name)
	case p < 90:
		cal.fill(user, fmt.Sprintf("more%d", rng.IntN(3)), 5)
	case p < 94:
		cal.DeleteCalendar(user, fmt.Sprintf("more%d", rng.IntN(3)))
	case p < 97:
		cal.RenameCalendar(user, "work", fmt.Sprintf("work %d", rng.IntN(1000)))
	default:
		cal.InvalidateTokens(user, "work")
	}
}
