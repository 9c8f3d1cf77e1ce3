package googleserver

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// wants says whether a full list shows an item.
func (q *query) wants(v *version) bool {
	switch {
	case q.updatedMin != nil && v.updated.Truncate(time.Millisecond).Before(*q.updatedMin):
		return false
	case v.gone && !q.on("showDeleted") && (q.updatedMin == nil || v.silent):
		return false
	case v.hidden && !q.on("showHidden"):
		return false
	case q.kind == CalendarListList && !v.gone && !q.wantsEntry(v):
		return false
	}
	return q.kind != EventsList || (q.wantsType(v) && (!q.restricted || q.wantsEvent(v)))
}

// wantsEntry applies the filters of calendarList.list.
func (q *query) wantsEntry(v *version) bool {
	if q.has("minAccessRole") && ranks[v.role] < ranks[Role(q.values.Get("minAccessRole"))] {
		return false
	}
	_, mine, _ := strings.Cut(q.user, "@")
	_, theirs, _ := strings.Cut(v.owner, "@")
	return !q.on("showOwnOrganizationOnly") || mine == theirs
}

// wantsType is the one filter that sync tokens take.
func (q *query) wantsType(v *version) bool {
	if len(q.eventTypes) == 0 || v.gone {
		return true
	}
	t := v.facts.EventType
	if t == "" {
		t = "default"
	}
	return slices.Contains(q.eventTypes, t)
}

// wantsEvent applies the filters of events.list that sync tokens refuse.
func (q *query) wantsEvent(v *version) bool {
	if q.has("iCalUID") && v.facts.ICalUID != q.values.Get("iCalUID") {
		return false
	}
	return q.inRange(v.facts) && q.wantsContent(v)
}

// inRange applies timeMin and timeMax: a series is in it when an instance may be.
func (q *query) inRange(f *facts) bool {
	if f.Start == nil || f.End == nil {
		return true
	}
	if q.timeMax != nil && !f.Start.time().Before(*q.timeMax) {
		return false
	}
	if q.timeMin == nil || f.End.time().After(*q.timeMin) {
		return true
	}
	return len(f.Recurrence) > 0 && f.endsAfter(*q.timeMin)
}

// content is what q and the extended properties are searched in.
type content struct {
	Summary     string     `json:"summary"`
	Description string     `json:"description"`
	Location    string     `json:"location"`
	Organizer   person     `json:"organizer"`
	Attendees   []person   `json:"attendees"`
	Properties  properties `json:"extendedProperties"`
	Working     struct {
		Office place `json:"officeLocation"`
		Custom place `json:"customLocation"`
	} `json:"workingLocationProperties"`
}

type person struct {
	Email       string `json:"email"`
	DisplayName string `json:"displayName"`
}

type place struct {
	BuildingID string `json:"buildingId"`
	DeskID     string `json:"deskId"`
	Label      string `json:"label"`
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
	where := []string{
		c.Summary, c.Description, c.Location, c.Organizer.Email, c.Organizer.DisplayName,
		c.Working.Office.BuildingID, c.Working.Office.DeskID, c.Working.Office.Label, c.Working.Custom.Label,
	}
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
