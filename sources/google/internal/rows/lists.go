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

	row  connector.Calendar
	item string
}

// ParseCalendar reads one item of calendarList.list. It never fails: what cannot be read is left out, and ParseError says so.
func ParseCalendar(item []byte) *Calendar {
	c := &Calendar{}
	var r reader
	var summary, override, description, color, zone string
	r.item(item, func(name string) {
		r.field = name
		switch name {
		case "id":
			r.into("", &c.ID)
		case "etag":
			r.into("", &c.ETag)
		case "summary":
			r.into("", &summary)
		case "summaryOverride":
			r.into("", &override)
		case "description":
			r.into("", &description)
		case "backgroundColor":
			r.into("", &color)
		case "timeZone":
			r.into("", &zone)
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
		r.field = ""
	})
	if c.Name = override; c.Name == "" {
		c.Name = summary
	}
	c.row = connector.Calendar{
		Name: opt(c.Name), Description: opt(description), Color: opt(color), Timezone: opt(zone), AccessRole: opt(c.AccessRole),
		Primary: c.Primary, Components: []string{"VEVENT"},
	}
	c.item, c.ParseError = r.end(item, c.ID)
	own(&c.ID, &c.ETag, &c.Name, &c.AccessRole)
	return c
}

// Row is the calendar's row in a stream; sync says how the calendar is followed.
func (c *Calendar) Row(s connector.Stream, sync string, o Options) connector.Row {
	row := c.row
	row.Source, row.Account, row.Collection, row.Sync = s.Source, s.Account, c.ID, sync
	row.Raw, _ = o.raw(c.item)
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
	item                  string
}

// Deleted says that the rule is a tombstone: it grants nothing.
func (r *Rule) Deleted() bool { return r.Role == "none" }

// ParseRule reads one item of acl.list. It never fails: what cannot be read is left out, and ParseError says so.
func ParseRule(item []byte) *Rule {
	rule := &Rule{}
	var r reader
	r.item(item, func(name string) {
		r.field = name
		switch name {
		case "id":
			r.into("", &rule.ID)
		case "etag":
			r.into("", &rule.ETag)
		case "role":
			r.into("", &rule.Role)
		case "scope":
			r.readObject("", func(member string) {
				switch member {
				case "type":
					r.into(member, &rule.scopeType)
				case "value":
					r.into(member, &rule.scopeValue)
				default:
					r.value()
				}
			})
		default:
			r.value()
		}
		r.field = ""
	})
	rule.item, rule.ParseError = r.end(item, rule.ID)
	own(&rule.ID, &rule.ETag, &rule.Role)
	return rule
}

// Row is the rule's row in a stream.
func (r *Rule) Row(s connector.Stream, o Options) connector.Row {
	row := connector.Rule{
		Source: s.Source, Account: s.Account, Collection: s.Collection, ID: r.ID,
		Role: opt(r.Role), ScopeType: opt(r.scopeType), ScopeValue: opt(r.scopeValue),
	}
	row.Raw, _ = o.raw(r.item)
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
	item  string
}

// ParseSetting reads one item of settings.list. It never fails: what cannot be read is left out, and ParseError says so.
func ParseSetting(item []byte) *Setting {
	s := &Setting{}
	var r reader
	r.item(item, func(name string) {
		r.field = name
		switch name {
		case "id":
			r.into("", &s.ID)
		case "etag":
			r.into("", &s.ETag)
		case "value":
			if v, f := r.readString(""); f == given && s.value == nil {
				s.value = &v
			}
		default:
			r.value()
		}
		r.field = ""
	})
	s.item, s.ParseError = r.end(item, s.ID)
	own(&s.ID, &s.ETag)
	return s
}

// Row is the setting's row in a stream.
func (s *Setting) Row(in connector.Stream, o Options) connector.Row {
	row := connector.Setting{Source: in.Source, Account: in.Account, ID: s.ID, Value: s.value}
	row.Raw, _ = o.raw(s.item)
	out := row.Row()
	out.ETag = s.ETag
	return out
}

// end returns the item as text and what could not be read of it.
func (r *reader) end(item []byte, id string) (text, parseError string) {
	if id == "" {
		r.add("no id")
	}
	if r.text == "" {
		r.text = string(item)
	}
	return r.text, r.notes.String()
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
