package googleserver

import (
	"encoding/json"
	"strings"
)

// wantsEvent says whether the filters of events.list let an event through.
func (q *query) wantsEvent(v *version) bool {
	if q.has("iCalUID") && v.facts.ICalUID != q.values.Get("iCalUID") {
		return false
	}
	return q.inRange(v.facts) && q.wantsContent(v)
}

// inRange applies timeMin and timeMax.
func (q *query) inRange(f *facts) bool {
	if f.Start == nil || f.End == nil {
		return true
	}
	if from, ok := q.moment("timeMin"); ok && len(f.Recurrence) == 0 && !f.End.time().After(from) {
		return false
	}
	to, ok := q.moment("timeMax")
	return !ok || f.Start.time().Before(to)
}

// content is what q and the extended properties are searched in.
type content struct {
	Summary     string     `json:"summary"`
	Description string     `json:"description"`
	Location    string     `json:"location"`
	Organizer   person     `json:"organizer"`
	Attendees   []person   `json:"attendees"`
	Properties  properties `json:"extendedProperties"`
}

type person struct {
	Email       string `json:"email"`
	DisplayName string `json:"displayName"`
}

type properties struct {
	Private map[string]string `json:"private"`
	Shared  map[string]string `json:"shared"`
}

func (q *query) wantsContent(v *version) bool {
	if !q.has("q") && !q.has("privateExtendedProperty") && !q.has("sharedExtendedProperty") {
		return true
	}
	var c content
	if json.Unmarshal(v.body, &c) != nil {
		return false
	}
	return hasAll(c.Properties.Private, q.values["privateExtendedProperty"]) &&
		hasAll(c.Properties.Shared, q.values["sharedExtendedProperty"]) && c.mentions(q.values.Get("q"))
}

// hasAll says whether the properties meet every constraint name=value.
func hasAll(have map[string]string, want []string) bool {
	for _, constraint := range want {
		name, value, _ := strings.Cut(constraint, "=")
		if got, ok := have[name]; !ok || got != value {
			return false
		}
	}
	return true
}

// mentions says whether every term stands somewhere.
func (c *content) mentions(terms string) bool {
	where := []string{c.Summary, c.Description, c.Location, c.Organizer.Email, c.Organizer.DisplayName}
	for _, a := range c.Attendees {
		where = append(where, a.Email, a.DisplayName)
	}
	all := strings.ToLower(strings.Join(where, "\n"))
	for _, term := range strings.Fields(strings.ToLower(terms)) {
		if !strings.Contains(all, term) {
			return false
		}
	}
	return true
}

// view is an item's bytes for a user of that role.
func view(v *version, role Role, q *query, delta bool) []byte {
	body := v.body
	if delta {
		body = v.inDelta()
	}
	if v.facts == nil {
		return body
	}
	return body
}
