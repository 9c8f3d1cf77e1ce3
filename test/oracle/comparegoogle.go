package oracle

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// CompareGoogle returns every difference between what the fold holds of an account and what its server lists, and what
// the server lists and is in a snapshot that has not ended.
func CompareGoogle(f *Fold, source, account string, server *GoogleAccount) []string {
	c := comparison{fold: f, source: source, account: account}
	c.items(c.stream("", "calendars"), server.Calendars, calendarFields)
	c.items(c.stream("", "settings"), server.Settings, settingFields)
	for id := range server.Calendars {
		c.items(c.stream(id, "events"), server.Events[id], eventFields)
		c.items(c.stream(id, "acl"), server.ACL[id], ruleFields)
	}
	for k, s := range f.Streams {
		_, exists := server.Calendars[k.Collection]
		if k.Source == source && k.Account == account && k.Collection != "" && !exists && len(s.Rows) > 0 {
			c.differ("%s is gone, and %d of its rows in %s are left", k.Collection, len(s.Rows), k.Kind)
		}
	}
	slices.Sort(c.found)
	return c.found
}

// items compares a stream with a list. items is nil where the account has no such list: then there must be no rows.
func (c *comparison) items(k Stream, items map[string]string, want func(item string) map[string]string) {
	expected := map[string]Row{}
	for id, item := range items {
		row := Row{"raw": item, "parse_error": nil}
		for field, value := range want(item) {
			row[field] = value
		}
		expected[id] = plain(row)
	}
	c.rows(k, expected, plain)
	if s := c.fold.Streams[k]; items != nil && s != nil && s.InSnapshot() {
		c.differ("%v: the snapshot has not ended", k)
	}
}

// eventFields are what the row of an item of events.list must say; "" is null.
func eventFields(item string) map[string]string {
	fields := map[string]string{"component": "VEVENT", "kind": "single", "series_id": seriesOf(item), "event_type": text(item, "eventType"),
		"status": text(item, "status"), "summary": text(item, "summary"), "location": text(item, "location")}
	var recurrence []string
	_ = json.Unmarshal(members(item)["recurrence"], &recurrence) // empty where there is none
	switch {
	case fields["series_id"] != "":
		fields["kind"] = "override"
	case len(recurrence) > 0:
		fields["kind"] = "series"
	}
	if fields["status"] == "cancelled" {
		return fields
	}
	fields["uid"], fields["etag"] = text(item, "iCalUID"), text(item, "etag")
	if date := text(item, "start", "date"); date != "" {
		fields["start_local"], fields["start_utc"] = date, ""
	} else if t, err := time.Parse(time.RFC3339, text(item, "start", "dateTime")); err == nil {
		fields["start_utc"] = t.UTC().Format("2006-01-02T15:04:05Z")
	}
	return fields
}

func calendarFields(item string) map[string]string {
	return map[string]string{"name": cmp.Or(text(item, "summaryOverride"), text(item, "summary")), "access_role": text(item, "accessRole"),
		"timezone": text(item, "timeZone"), "description": text(item, "description"), "color": text(item, "backgroundColor")}
}

func ruleFields(item string) map[string]string {
	return map[string]string{"role": text(item, "role"), "scope_type": text(item, "scope", "type"), "scope_value": text(item, "scope", "value")}
}

func settingFields(item string) map[string]string {
	return map[string]string{"value": text(item, "value")}
}
