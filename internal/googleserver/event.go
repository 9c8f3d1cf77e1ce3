package googleserver

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// facts are what requests filter events by.
type facts struct {
	Status           string          `json:"status"`
	RecurringEventID string          `json:"recurringEventId"`
	ICalUID          string          `json:"iCalUID"`
	EventType        string          `json:"eventType"`
	Visibility       string          `json:"visibility"`
	Recurrence       []string        `json:"recurrence"`
	Start            *when           `json:"start"`
	End              *when           `json:"end"`
	OriginalStart    json.RawMessage `json:"originalStartTime"`
}

// when is Google's EventDateTime.
type when struct {
	Date     string `json:"date,omitempty"`
	DateTime string `json:"dateTime,omitempty"`
	TimeZone string `json:"timeZone,omitempty"`
}

// PutEvent stores an event and returns its id. The item is JSON (a string or []byte) or a value that encodes as such, as
// *calendar.Event does. Its members keep their order and their bytes, unknown ones too; kind, etag and updated are the
// server's, and what Google adds to every event is added where it is missing. An event with the status cancelled is a
// cancelled exception if it has a recurringEventId, else a tombstone. The user may be "" for calendars that are
// nobody's own.
func (s *Server) PutEvent(email, id string, item any) (string, error) {
	b, err := encoded(item)
	if err != nil {
		return "", fmt.Errorf("putting an event: %w", err)
	}
	o, err := parseObject(b)
	if err != nil {
		return "", fmt.Errorf("putting an event: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.mustFind(email, id)
	if err != nil {
		return "", fmt.Errorf("putting an event: %w", err)
	}
	eventID, err := s.putEvent(c, o)
	if err != nil {
		return "", fmt.Errorf("putting an event: %w", err)
	}
	return eventID, nil
}

func encoded(item any) ([]byte, error) {
	switch v := item.(type) {
	case string:
		return []byte(v), nil
	case []byte:
		return v, nil
	case json.RawMessage:
		return v, nil
	default:
		return marshal(item)
	}
}

// PutRaw stores bytes as an event's item just as they are, whatever they are.
func (s *Server) PutRaw(email, id, eventID string, item []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.mustFind(email, id)
	if err != nil {
		return fmt.Errorf("putting an event: %w", err)
	}
	c.events.put(&version{id: eventID, etag: s.stamp(), body: append([]byte(nil), item...), updated: s.now(), facts: &facts{}})
	return nil
}

// putEvent stores an event of c. s.mu is held.
func (s *Server) putEvent(c *calendar, o object) (string, error) {
	id := o.text("id")
	if id == "" {
		s.stamps++
		sum := sha256.Sum256(fmt.Append(s.key, s.stamps))
		id = strings.ToLower(base32.HexEncoding.EncodeToString(sum[:])[:26])
	}
	now := s.now()
	created := any(timestamp(now))
	if old := c.events.current(id); old != nil {
		created = earlier(old, created)
	}
	v := &version{id: id, etag: s.stamp(), updated: now}
	o = s.complete(c, o, v, created)
	f := &facts{}
	// A member of another type leaves its fact empty, which filters take for a mismatch.
	if err := json.Unmarshal(o.bytes(), f); err != nil && !isTypeError(err) {
		return "", fmt.Errorf("reading event %s: %w", id, err)
	}
	v.facts = f
	if f.Status == "cancelled" {
		s.cancel(c, o, v)
	} else {
		v.body = o.bytes()
	}
	if f.RecurringEventID != "" {
		c.events.adopt(f.RecurringEventID, id)
	}
	c.events.put(v)
	if v.gone {
		s.deleteExceptions(c, id)
	}
	return id, nil
}

func isTypeError(err error) bool {
	var e *json.UnmarshalTypeError
	return errors.As(err, &e)
}

// earlier is when an event was created that is there already.
func earlier(old *version, now any) any {
	o, err := parseObject(old.body)
	if err != nil || o.raw("created") == nil {
		return now
	}
	return o.raw("created")
}

// complete adds what Google says of every event.
func (s *Server) complete(c *calendar, o object, v *version, created any) object {
	head := object{}.with("kind", "calendar#event").with("etag", v.etag).with("id", v.id)
	if o.find("status") < 0 {
		head = head.with("status", "confirmed")
	}
	if o.find("htmlLink") < 0 {
		head = head.with("htmlLink", "https://www.google.com/calendar/event?eid="+v.id)
	}
	if o.find("created") < 0 {
		head = head.with("created", created)
	}
	head = head.with("updated", timestamp(v.updated))
	self := json.RawMessage(object{}.with("email", c.owner).with("self", true).bytes())
	rest := o.without("kind", "etag", "id", "updated").
		or("creator", self).or("organizer", self).or("iCalUID", v.id+"@google.com").or("sequence", 0).
		or("reminders", json.RawMessage(`{"useDefault":true}`)).or("eventType", "default")
	return append(head, rest...)
}

// cancel gives v the bytes of a cancelled event: an exception of a living series stays in full lists, with what is
// guaranteed of it; anything else is a tombstone.
func (s *Server) cancel(c *calendar, o object, v *version) {
	bare := object{}.with("kind", "calendar#event").with("etag", v.etag).with("id", v.id).with("status", "cancelled")
	series := v.facts.RecurringEventID
	v.gone = series == "" || c.events.living(series) == nil
	v.body = bare.bytes()
	if series != "" {
		sparse := bare.with("recurringEventId", series)
		if v.facts.OriginalStart != nil {
			sparse = sparse.with("originalStartTime", v.facts.OriginalStart)
		}
		v.body = sparse.bytes()
	}
	if (s.opts.RichCancelled && !v.gone) || (s.opts.RichTombstones && v.gone) {
		v.body = o.bytes()
	}
	if s.opts.SparseInstances && series != "" {
		v.delta = bare.without("kind", "etag").bytes()
	}
}

// DeleteEvent deletes an event. Of a series, its exceptions go with it; an exception becomes a cancelled one.
func (s *Server) DeleteEvent(email, id, eventID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.mustFind(email, id)
	if err != nil {
		return fmt.Errorf("deleting event %s: %w", eventID, err)
	}
	old := c.events.living(eventID)
	if old == nil {
		return fmt.Errorf("deleting event %s of %s: %w", eventID, id, ErrNoItem)
	}
	s.deleteEvent(c, old)
	return nil
}

func (s *Server) deleteEvent(c *calendar, old *version) {
	if c.events.lossy {
		c.events.drop(old.id, s.now())
		for child := range c.events.children[old.id] {
			c.events.drop(child, s.now())
		}
		return
	}
	c.events.put(s.tombstone(c, old))
	s.deleteExceptions(c, old.id)
}

// deleteExceptions lets the exceptions of a series that is gone go with it.
func (s *Server) deleteExceptions(c *calendar, series string) {
	if c.events.living(series) != nil {
		return
	}
	for _, child := range slices.Sorted(maps.Keys(c.events.children[series])) {
		v := c.events.living(child)
		if v == nil {
			continue
		}
		t := s.tombstone(c, v)
		if t.gone = true; s.opts.DeltaExceptions {
			c.events.put(t)
		} else {
			t.silent = true
			c.events.amend(t)
		}
	}
}

// tombstone is an event's version once it is deleted.
func (s *Server) tombstone(c *calendar, old *version) *version {
	v := &version{id: old.id, etag: s.stamp(), updated: s.now()}
	f := *old.facts
	f.Status = "cancelled"
	v.facts = &f
	o, err := parseObject(old.body)
	if err != nil {
		o = nil // PutRaw's: nothing of it can be kept
	}
	s.cancel(c, o.with("etag", v.etag).with("status", "cancelled").with("updated", timestamp(v.updated)), v)
	return v
}

// InstanceID is the id of a series' instance that starts, by the series, at start: of an all-day series a date.
func InstanceID(series string, start time.Time, allDay bool) string {
	if allDay {
		return series + "_" + start.Format("20060102")
	}
	return series + "_" + start.UTC().Format("20060102T150405Z")
}

// CancelInstance deletes one instance of a series and returns the id of its exception. start is when the series has it.
func (s *Server) CancelInstance(email, id, series string, start time.Time) (string, error) {
	return s.putInstance(email, id, series, start, func(o object, _ *facts) object { return o.with("status", "cancelled") })
}

// MoveInstance gives one instance of a series another start, and its end as much later, and returns the id of its exception.
func (s *Server) MoveInstance(email, id, series string, start, to time.Time) (string, error) {
	return s.putInstance(email, id, series, start, func(o object, f *facts) object {
		length := f.End.time().Sub(f.Start.time())
		return o.with("start", f.Start.at(to)).with("end", f.Start.at(to.Add(length)))
	})
}

// ChangeInstance sets members of one instance of a series, `"summary":"…",…`, and returns the id of its exception.
func (s *Server) ChangeInstance(email, id, series string, start time.Time, members string) (string, error) {
	if _, err := extend(nil, members); err != nil {
		return "", fmt.Errorf("changing an instance of %s: %w", series, err)
	}
	return s.putInstance(email, id, series, start, func(o object, _ *facts) object {
		o, _ = extend(o, members) // tried above
		return o
	})
}

// putInstance makes an exception of a series, or changes the one there is.
func (s *Server) putInstance(email, id, series string, start time.Time, change func(object, *facts) object) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.mustFind(email, id)
	if err != nil {
		return "", fmt.Errorf("changing an instance of %s: %w", series, err)
	}
	master := c.events.living(series)
	if master == nil || master.facts.Start == nil || master.facts.End == nil {
		return "", fmt.Errorf("changing an instance of %s: %w", series, ErrNoItem)
	}
	f := master.facts
	eventID := InstanceID(series, start, f.Start.Date != "")
	from := master
	if v := c.events.living(eventID); v != nil && v.facts.Status != "cancelled" {
		from = v
	}
	o, err := parseObject(from.body)
	if err != nil {
		return "", fmt.Errorf("changing an instance of %s: %w", series, err)
	}
	if from == master {
		length := f.End.time().Sub(f.Start.time())
		o = o.without("recurrence").with("start", f.Start.at(start)).with("end", f.Start.at(start.Add(length)))
	}
	o = o.with("id", eventID).with("recurringEventId", series).with("originalStartTime", f.Start.at(start))
	return s.putEvent(c, change(o, f))
}

// SetReminders changes an event's reminders, a JSON value: its ETag moves, `updated` does not.
func (s *Server) SetReminders(email, id, eventID, reminders string) error {
	if !json.Valid([]byte(reminders)) {
		return fmt.Errorf("setting reminders of %s: not JSON", eventID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.mustFind(email, id)
	if err != nil {
		return fmt.Errorf("setting reminders of %s: %w", eventID, err)
	}
	old := c.events.living(eventID)
	if old == nil {
		return fmt.Errorf("setting reminders of %s: %w", eventID, ErrNoItem)
	}
	o, err := parseObject(old.body)
	if err != nil {
		return fmt.Errorf("setting reminders of %s: %w", eventID, err)
	}
	v := *old
	v.etag = s.stamp()
	v.body = o.with("etag", v.etag).with("reminders", json.RawMessage(reminders)).bytes()
	c.events.put(&v)
	return nil
}

// time is the moment, the zero one where there is none.
func (w *when) time() time.Time {
	if w == nil {
		return time.Time{}
	}
	loc, err := time.LoadLocation(w.TimeZone)
	if err != nil {
		loc = time.UTC
	}
	if t, err := time.Parse(time.RFC3339, w.DateTime); err == nil {
		return t.In(loc)
	}
	if t, err := time.ParseInLocation("2006-01-02T15:04:05", w.DateTime, loc); err == nil {
		return t
	}
	t, _ := time.ParseInLocation(time.DateOnly, w.Date, loc) // zero if it is none
	return t
}

// at is another moment in the form of w.
func (w *when) at(t time.Time) when {
	if w.Date != "" {
		return when{Date: t.Format(time.DateOnly)}
	}
	if loc, err := time.LoadLocation(w.TimeZone); err == nil && w.TimeZone != "" {
		t = t.In(loc)
	}
	return when{DateTime: t.Format(time.RFC3339), TimeZone: w.TimeZone}
}
