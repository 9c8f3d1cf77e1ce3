package history

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// googleEvent is an event as last written. Exceptions stand with their series.
type googleEvent struct {
	item    map[string]any
	repeats bool
	allDay  bool
}

// base is when the first occurrence of every series begins.
var base = time.Date(2026, time.June, 1, 8, 0, 0, 0, time.UTC)

// occurrence is one of a series.
func (h *Google) occurrence() time.Time { return base.AddDate(0, 0, 1+h.rng.IntN(6)) }

// Change makes one change to the events of a calendar.
func (h *Google) Change(id string) error {
	c := h.cals[id]
	switch p := h.rng.IntN(100); {
	case len(c.events) == 0 || p < 35:
		return h.createEvent(c)
	case p < 55:
		return h.writeEvent(c)
	case p < 60 && !h.Stamped:
		event := h.anyEvent(c, nil)
		h.note("reminders of %s in %s", event, c.id)
		return h.server.SetReminders(c.owner, c.id, event, fmt.Sprintf(`{"useDefault":false, "overrides":[{"method":"email","minutes":%d}]}`, h.rng.IntN(500)))
	case p < 82:
		return h.except(c)
	default:
		return h.deleteEvent(c)
	}
}

// Create adds a number of events to a calendar.
func (h *Google) Create(id string, n int) error {
	for range n {
		if err := h.createEvent(h.cals[id]); err != nil {
			return err
		}
	}
	return nil
}

// Delete deletes an event of a calendar; of a series, its exceptions go with it.
func (h *Google) Delete(id string) error { return h.deleteEvent(h.cals[id]) }

// anyEvent picks an event, "" where there is none like this.
func (h *Google) anyEvent(c *googleCalendar, like func(*googleEvent) bool) string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(c.events)) {
		if like == nil || like(c.events[id]) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return ""
	}
	return h.pick(ids)
}

// createEvent puts a new event, or one that had been deleted.
func (h *Google) createEvent(c *googleCalendar) error {
	h.made++
	id := fmt.Sprintf("e%06d", h.made)
	if len(c.past) > 0 && h.rng.IntN(3) == 0 {
		id, c.past = c.past[len(c.past)-1], c.past[:len(c.past)-1]
	}
	e := &googleEvent{item: map[string]any{"id": id, "summary": h.words()}}
	switch h.rng.IntN(7) {
	case 0:
		e.allDay = true
	case 1, 2, 3:
		e.repeats, e.allDay = true, h.rng.IntN(3) == 0
		e.item["recurrence"] = []string{"RRULE:FREQ=DAILY;COUNT=10"}
	}
	if c.birthdays {
		e.item["eventType"] = "birthday"
	}
	h.dress(e)
	c.events[id] = e
	return h.putEvent(c, id)
}

// dress gives an event times and some of what events have besides.
func (h *Google) dress(e *googleEvent) {
	day := base.AddDate(0, 0, h.rng.IntN(20))
	if e.repeats {
		day = base
	}
	e.item["start"] = map[string]string{"dateTime": day.In(time.FixedZone("", 7200)).Format(time.RFC3339), "timeZone": "Europe/Berlin"}
	e.item["end"] = map[string]string{"dateTime": day.Add(time.Hour).Format(time.RFC3339), "timeZone": "Europe/Berlin"}
	if e.allDay {
		e.item["start"] = map[string]string{"date": day.Format(time.DateOnly)}
		e.item["end"] = map[string]string{"date": day.AddDate(0, 0, 1).Format(time.DateOnly)}
	}
	switch h.rng.IntN(9) {
	case 0:
		e.item["attendees"] = []map[string]any{{"email": "bob@example.org", "responseStatus": "needsAction", "organizer": true}}
	case 1:
		e.item["eventType"] = h.pick([]string{"outOfOffice", "focusTime", "workingLocation", "fromGmail", "default"})
	case 2:
		e.item["location"], e.item["visibility"] = h.words(), "private"
	case 3:
		e.item["unheardOf"] = json.RawMessage(`{"deep": [1, 2.50, {"\u00fc":null}]}`)
	case 4:
		e.item["extendedProperties"] = map[string]any{"private": map[string]string{"k": h.words()}}
	}
}

func (h *Google) putEvent(c *googleCalendar, id string) error {
	h.note("put %s in %s of %s", id, c.id, c.owner)
	_, err := h.server.PutEvent(c.owner, c.id, c.events[id].item)
	return err
}

// writeEvent changes an event: its text, its time, or nothing at all.
func (h *Google) writeEvent(c *googleCalendar) error {
	id := h.anyEvent(c, nil)
	e := c.events[id]
	switch h.rng.IntN(4) {
	case 0: // the same again
	case 1:
		h.dress(e)
	default:
		e.item["summary"] = h.words()
	}
	return h.putEvent(c, id)
}

// except changes, moves or cancels an occurrence of a series, or brings it back.
func (h *Google) except(c *googleCalendar) error {
	series := h.anyEvent(c, func(e *googleEvent) bool { return e.repeats })
	if series == "" {
		return h.writeEvent(c)
	}
	at := h.occurrence()
	var err error
	switch h.rng.IntN(5) {
	case 0, 1:
		h.note("cancel %v of %s in %s", at, series, c.id)
		_, err = h.server.CancelInstance(c.owner, c.id, series, at)
	case 2:
		h.note("move %v of %s in %s", at, series, c.id)
		_, err = h.server.MoveInstance(c.owner, c.id, series, at, at.AddDate(0, 0, 1).Add(time.Hour))
	default:
		h.note("change %v of %s in %s", at, series, c.id)
		text, _ := json.Marshal(h.words()) // strings always encode
		_, err = h.server.ChangeInstance(c.owner, c.id, series, at, `"summary":`+string(text)+`,"status":"tentative"`)
	}
	return err
}

func (h *Google) deleteEvent(c *googleCalendar) error {
	id := h.anyEvent(c, nil)
	if id == "" {
		return h.createEvent(c)
	}
	h.note("delete %s in %s", id, c.id)
	if !c.events[id].repeats || h.Lost {
		c.past = append(c.past, id)
	}
	delete(c.events, id)
	return h.server.DeleteEvent(c.owner, c.id, id)
}

// Base is when the first occurrence of every series begins.
func (h *Google) Base() time.Time { return base }
