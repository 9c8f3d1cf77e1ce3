package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/calcdc/calcdc/connector"
)

// home is the list of the collections.
func (a *account) home(q connector.Query, r *rand.Rand) (answer, error) {
	ans := answer{token: "h" + strconv.Itoa(len(a.homeLog)), listing: true}
	if q.Token != "" && a.homeDeltas {
		since, err := strconv.Atoi(q.Token[1:])
		if err != nil || since < a.homeOldest || r.Float64() < a.weather.dead {
			return answer{}, fmt.Errorf("410: %w", connector.ErrTokenInvalid)
		}
		ans.listing = false
		seen := map[string]bool{}
		for _, name := range a.homeLog[since:] {
			if !seen[name] {
				ans.entries = append(ans.entries, entry{id: name, removed: !a.visible(name)})
			}
			seen[name] = true
		}
		return ans, nil
	}
	for _, name := range slices.Sorted(maps.Keys(a.collections)) {
		if a.visible(name) {
			ans.entries = append(ans.entries, entry{id: name})
		}
	}
	if len(ans.entries) > 0 && r.Float64() < a.weather.omit && (a.healed || !a.homeDeltas) {
		i := r.IntN(len(ans.entries))
		a.note("%s left out of the home", ans.entries[i].id)
		ans.entries = slices.Delete(ans.entries, i, i+1)
	}
	return ans, nil
}

func (a *account) calendar(s connector.Stream, e entry) connector.Resource {
	c, there := a.collections[e.id]
	if !there || c.hidden != "" {
		return connector.Resource{ID: e.id, Presence: connector.Missing}
	}
	rw := row(s, e.id, "", strconv.Itoa(c.title))
	res := connector.Resource{ID: e.id, Presence: connector.Read, Hash: rw.Hash, Rows: []connector.Row{rw}}
	switch a.hint {
	case "version":
		res.Hint = connector.Hint{Value: c.events.token() + "/" + c.acl.token()}
	case "token": // of the events, as long as there is nothing else
		res.Hint = connector.Hint{Value: c.events.token()}
		if a.extra {
			res.Hint.Value += "/" + c.acl.token()
		}
	case "hash": // as before where a change is taken back
		res.Hint = connector.Hint{Value: c.events.sum() + c.acl.sum()}
	case "coarse":
		last := c.events.changed
		if c.acl.changed.After(last) {
			last = c.acl.changed
		}
		res.Hint = connector.Hint{Value: last.Truncate(coarse).String(), Coarse: coarse}
	}
	if a.extra {
		res.Streams = []connector.Kind{connector.Events, connector.ACL}
	}
	return res
}

// coarse is how fine the times are that stand for versions.
const coarse = 5 * time.Second
