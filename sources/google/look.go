package google

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/calcdc/calcdc/connector"
	"github.com/calcdc/calcdc/sources/google/internal/rows"
)

// Look asks directly for what a listing did not show, as connector.Account says.
func (a *Account) Look(ctx context.Context, s connector.Stream, ids []string) ([]connector.Presence, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var all []connector.Presence
	var err error
	switch s.Kind {
	case connector.Calendars:
		all, err = a.lookAtCalendars(ctx, s, ids)
	case connector.Events:
		all, err = each(ctx, ids, func(ctx context.Context, id string) (connector.Presence, error) { return a.lookAtEvent(ctx, s, id) })
	case connector.ACL, connector.Settings:
		all, err = each(ctx, ids, func(ctx context.Context, id string) (connector.Presence, error) { return a.lookAtItem(ctx, s, id) })
	}
	if err != nil {
		return all, fmt.Errorf("looking for what %s did not show: %w", s, err)
	}
	return all, nil
}

// lookAtCalendars asks the calendarList for each.
func (a *Account) lookAtCalendars(ctx context.Context, s connector.Stream, ids []string) ([]connector.Presence, error) {
	type found struct {
		at  connector.Presence
		err error // of this calendar alone
	}
	all, err := each(ctx, ids, func(ctx context.Context, id string) (found, error) {
		it, err := a.one(ctx, s, id)
		var e *Error
		switch {
		case err == nil && rows.ParseCalendar(it.raw).Deleted, isMissing(err):
			return found{at: connector.Gone}, nil
		case err == nil:
			return found{at: connector.Read}, nil
		case !errors.As(err, &e) || !e.ownTrouble():
			return found{}, err
		case e.Status == http.StatusForbidden:
			return found{at: connector.Forbidden}, nil
		}
		return found{connector.Failed, err}, nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]connector.Presence, len(all))
	var failed error
	for i, f := range all {
		out[i], failed = f.at, cmp.Or(failed, f.err)
	}
	return out, failed
}

// ownTrouble tells an error that is one resource's own and decides nothing about the others.
func (e *Error) ownTrouble() bool {
	return e.Status >= 400 && e.Status != http.StatusUnauthorized && !e.limited() && !e.lacksGrant()
}

// lookAtItem asks for a rule or a setting.
func (a *Account) lookAtItem(ctx context.Context, s connector.Stream, id string) (connector.Presence, error) {
	it, err := a.one(ctx, s, id)
	switch {
	case isMissing(err), err == nil && s.Kind == connector.ACL && rows.ParseRule(it.raw).Deleted():
		return connector.Gone, nil
	case err != nil:
		return 0, err
	}
	return connector.Read, nil
}

// lookAtEvent tells whether a listing would show the event: it is there, and the filters let it through. A cancelled instance is
// shown for as long as its series is, and as its series is; an occurrence that is no exception any more is there, but not shown.
func (a *Account) lookAtEvent(ctx context.Context, s connector.Stream, id string) (connector.Presence, error) {
	ev, err := a.event(ctx, s, id)
	if ev == nil {
		return connector.Gone, err
	}
	whose := ev
	if ev.Cancelled() {
		series := ev.SeriesID()
		if series == "" || series == id {
			return connector.Gone, nil
		}
		if whose, err = a.event(ctx, s, series); whose == nil || whose.Cancelled() {
			return connector.Gone, err
		}
	}
	shown, err := a.shows(ctx, s, whose, ev)
	if err != nil || !shown {
		return connector.Gone, err
	}
	return connector.Read, nil
}

// event asks for an event; nil where it is not there.
func (a *Account) event(ctx context.Context, s connector.Stream, id string) (*rows.Event, error) {
	it, err := a.one(ctx, s, id)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return rows.ParseEvent(it.raw), nil
}

// shows tells whether the configured filters let all of the events through, which have the type and the iCalUID of the first. Of an
// instance only a listing tells: every occurrence of a series can be asked for, and exceptions alone are listed.
func (a *Account) shows(ctx context.Context, s connector.Stream, first *rows.Event, others ...*rows.Event) (bool, error) {
	f := a.cfg.Filter
	if len(f.EventTypes) > 0 && !slices.Contains(f.EventTypes, cmp.Or(first.EventType, "default")) {
		return false, nil
	}
	instance := slices.ContainsFunc(append(others, first), func(ev *rows.Event) bool { return ev.SeriesID() != "" && ev.SeriesID() != ev.ID })
	if len(f.needUpdatedMin()) == 0 && (!instance || first.ICalUID == "") {
		return true, nil
	}
	if f.ICalUID != "" && f.ICalUID != first.ICalUID {
		return false, nil
	}
	listed, err := a.listed(ctx, s, first.ICalUID)
	if err != nil {
		return false, err
	}
	for _, ev := range append(others, first) {
		if !listed[ev.ID] {
			return false, nil
		}
	}
	return true, nil
}

// listed are the ids of a series and its exceptions that a listing with the configured filters shows.
func (a *Account) listed(ctx context.Context, s connector.Stream, iCalUID string) (map[string]bool, error) {
	ids := map[string]bool{}
	err := a.pages(ctx, s, pageQuery{max: eventsPage, iCalUID: iCalUID}, func(it item) error {
		ev := rows.ParseEvent(it.raw)
		ids[ev.ID] = !ev.Cancelled() || ev.SeriesID() != ""
		return nil
	})
	return ids, err
}
