package rows

import (
	"strings"

	"github.com/calcdc/calcdc/connector"
)

// Calendar is one item of calendarList.list. Fields that the item does not have are "".
type Calendar struct {
	ID         string
	ETag       string
	Name       string // as the user calls it, else as its owner does
	AccessRole string // freeBusyReader, reader, writer, owner
	Deleted    bool   // a tombstone: it guarantees only ID
	Hidden     bool
	Primary    bool
	ParseError string // what could not be read

	summary, override, description, color, timeZone string
	sent                                            string
}

// ParseCalendar reads one item of calendarList.list. It never fails: what cannot be read is left out, and ParseError says so.
func ParseCalendar(item []byte) *Calendar {
	c := &Calendar{}
	r := &reader{}
	for ok := r.begin(item); ok && r.more(); {
		r.field = r.name()
		c.read(r)
	}
	if c.Name = c.override; c.Name == "" {
		c.Name = c.summary
	}
	c.sent, c.ParseError = r.text, r.end(c.ID)
	own(&c.ID, &c.ETag, &c.Name, &c.AccessRole)
	return c
}

// read reads the value of the field that r has come to.
func (c *Calendar) read(r *reader) {
	switch r.field {
	case "id":
		r.into("", &c.ID)
	case "etag":
		r.into("", &c.ETag)
	case "summary":
		r.into("", &c.summary)
	case "summaryOverride":
		r.into("", &c.override)
	case "description":
		r.into("", &c.description)
	case "backgroundColor":
		r.into("", &c.color)
	case "timeZone":
		r.into("", &c.timeZone)
	case "accessRole":
		r.into("", &c.AccessRole)
	case "deleted":
		r.flag("", &c.Deleted)
	case "hidden":
		r.flag("", &c.Hidden)
	case "primary":
		r.flag("", &c.Primary)
	default:
		r.value()
	}
}

// Row is the calendar's row in a stream; sync says how the calendar is followed.
func (c *Calendar) Row(s connector.Stream, sync string, o Options) connector.Row {
	row := connector.Calendar{
		Source: s.Source, Account: s.Account, Collection: c.ID, Sync: sync, Name: opt(c.Name), Description: opt(c.description),
		Color: opt(c.color), Timezone: opt(c.timeZone), AccessRole: opt(c.AccessRole), Primary: c.Primary, Components: []string{"VEVENT"},
	}
	row.Raw, _ = o.raw(c.sent)
	out := row.Row()
	out.ETag = c.ETag
	return out
}

// Rule is one item of acl.list. Fields that the item does not have are "".
type Rule struct {
	ID         string
	ETag       string
	Role       string // none, freeBusyReader, reader, writer, owner
	ParseError string // what could not be read

	scopeType, scopeValue string
	sent                  string
}

// Deleted says that the rule is a tombstone: it grants nothing.
func (r *Rule) Deleted() bool { return r.Role == "none" }

// ParseRule reads one item of acl.list. It never fails: what cannot be read is left out, and ParseError says so.
func ParseRule(item []byte) *Rule {
	rule := &Rule{}
	r := &reader{}
	for ok := r.begin(item); ok && r.more(); {
		r.field = r.name()
		switch r.field {
		case "id":
			r.into("", &rule.ID)
		case "etag":
			r.into("", &rule.ETag)
		case "role":
			r.into("", &rule.Role)
		case "scope":
			rule.readScope(r)
		default:
			r.value()
		}
	}
	rule.sent, rule.ParseError = r.text, r.end(rule.ID)
	own(&rule.ID, &rule.ETag, &rule.Role)
	return rule
}

func (r *Rule) readScope(from *reader) {
	if from.enter("", object) != given {
		return
	}
	for from.more() {
		switch member := from.name(); member {
		case "type":
			from.into(member, &r.scopeType)
		case "value":
			from.into(member, &r.scopeValue)
		default:
			from.value()
		}
	}
}

// Row is the rule's row in a stream.
func (r *Rule) Row(s connector.Stream, o Options) connector.Row {
	row := connector.Rule{
		Source: s.Source, Account: s.Account, Collection: s.Collection, ID: r.ID,
		Role: opt(r.Role), ScopeType: opt(r.scopeType), ScopeValue: opt(r.scopeValue),
	}
	row.Raw, _ = o.raw(r.sent)
	out := row.Row()
	out.ETag = r.ETag
	return out
}

// Setting is one item of settings.list. Fields that the item does not have are "".
type Setting struct {
	ID         string
	ETag       string
	ParseError string // what could not be read

	value *string
	sent  string
}

// ParseSetting reads one item of settings.list. It never fails: what cannot be read is left out, and ParseError says so.
func ParseSetting(item []byte) *Setting {
	s := &Setting{}
	r := &reader{}
	for ok := r.begin(item); ok && r.more(); {
		r.field = r.name()
		switch r.field {
		case "id":
			r.into("", &s.ID)
		case "etag":
			r.into("", &s.ETag)
		case "value":
			s.readValue(r)
		default:
			r.value()
		}
	}
	s.sent, s.ParseError = r.text, r.end(s.ID)
	own(&s.ID, &s.ETag)
	return s
}

// readValue reads the value, which may be empty.
func (s *Setting) readValue(r *reader) {
	v, f := r.readString("")
	switch {
	case f != given:
	case s.value != nil:
		r.note("", "stands twice")
	default:
		s.value = &v
	}
}

// Row is the setting's row in a stream.
func (s *Setting) Row(in connector.Stream, o Options) connector.Row {
	row := connector.Setting{Source: in.Source, Account: in.Account, ID: s.ID, Value: s.value}
	row.Raw, _ = o.raw(s.sent)
	out := row.Row()
	out.ETag = s.ETag
	return out
}

// own makes strings that outlive the item: no parts of its text, which would be kept with them.
func own(list ...*string) {
	for _, s := range list {
		*s = strings.Clone(*s)
	}
}

// opt is a pointer to s, nil for "".
func opt(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
