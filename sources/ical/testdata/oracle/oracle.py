"""Reads iCalendar resources with Python's icalendar and zoneinfo, as an independent check of calcdc's times.

stdin: a JSON list of texts. stdout: a JSON list with, for each, a list of components in the text's order:
recurrence_id (as calcdc's ids have it), all_day, start_utc, start_local, end_utc, end_local, due_utc.
"""
import datetime as dt
import io
import json
import struct
import sys
import zoneinfo

from icalendar import Calendar
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

UTC = dt.timezone.utc


def posix_zone(rule, offset):
    """A zone by a POSIX TZ rule: a TZif file (RFC 8536) that has nothing but its footer."""
    counts = struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    block = b"TZif2" + bytes(15) + counts + struct.pack(">lbb", offset, 0, 0) + b"XXX\0"
    return zoneinfo.ZoneInfo.from_file(io.BytesIO(block + block + b"\n" + rule.encode() + b"\n"))


# What the corpus' own VTIMEZONE says, told otherwise: icalendar's zones do not know PEP 495's rule for gaps.
OWN = {"Own Zone": posix_zone("<+0245>-2:45<+0345>-3:45,M3.5.0,M10.5.0/3", 9900)}


def zone(tzid):
    """The zone that a TZID names, None where there is none."""
    if tzid in OWN:
        return OWN[tzid]
    tzid = WINDOWS_TO_OLSON.get(tzid, tzid)
    parts = tzid.split("/")
    for i in range(len(parts)):
        try:
            return zoneinfo.ZoneInfo("/".join(parts[i:]))
        except (KeyError, ValueError, OSError):
            continue
    return None


class When:
    """A time: its wall clock without zone, and the zone, which is None for days and floating times."""

    def __init__(self, wall, tz):
        self.wall, self.tz = wall, tz

    @classmethod
    def of(cls, prop):
        value = prop.dt
        if not isinstance(value, dt.datetime):
            return cls(value, None)
        tzid = prop.params.get("TZID")
        return cls(value.replace(tzinfo=None), (tzid and zone(tzid)) or value.tzinfo)

    @property
    def day(self):
        return not isinstance(self.wall, dt.datetime)

    def instant(self):
        # PEP 495 with fold=0 is RFC 5545 3.3.5: the first of two, the offset before a gap.
        if self.day or self.tz is None:
            return None
        return self.wall.replace(tzinfo=self.tz, fold=0).astimezone(UTC)

    def plus(self, delta):
        """Days on the calendar, then exact time (RFC 5545 3.3.6)."""
        wall = self.wall + dt.timedelta(days=delta.days)
        exact = dt.timedelta(seconds=delta.seconds)
        if self.day or not exact:
            return When(wall, self.tz)
        if self.tz is None:
            return When(wall + exact, None)
        later = When(wall, self.tz).instant() + exact
        return Exact(later, self.tz)


class Exact(When):
    """A time known by its instant."""

    def __init__(self, instant, tz):
        super().__init__(instant.astimezone(tz).replace(tzinfo=None, fold=0), tz)
        self.exact = instant

    def instant(self):
        return self.exact


def utc(when, form="%Y-%m-%dT%H:%M:%SZ"):
    at = when and when.instant()
    return at.strftime(form) if at else None


def local(when):
    return when.wall.isoformat() if when else None


def ending(component, start):
    given = component.get("DTEND" if component.name == "VEVENT" else "DUE")
    if given is not None:
        return When.of(given)
    lasts = component.get("DURATION")
    if lasts is not None:
        sign = -1 if lasts.dt < dt.timedelta(0) else 1
        size = abs(lasts.dt)
        return start.plus(Delta(sign * size.days, sign * size.seconds))
    if component.name != "VEVENT":
        return None
    return start.plus(Delta(1, 0)) if start.day else start


class Delta:
    """A duration whose days are told from its seconds."""

    def __init__(self, days, seconds):
        self.days, self.seconds = days, seconds


def row(component):
    start = When.of(component["DTSTART"])
    end = ending(component, start)
    rid = component.get("RECURRENCE-ID")
    if rid is not None:
        rid = When.of(rid)
        rid = utc(rid, "%Y%m%dT%H%M%SZ") or rid.wall.strftime("%Y%m%d" if rid.day else "%Y%m%dT%H%M%S")
    todo = component.name == "VTODO"
    return {
        "recurrence_id": rid, "all_day": start.day,
        "start_utc": utc(start), "start_local": local(start),
        "end_utc": utc(end), "end_local": local(end), "due_utc": utc(end) if todo else None,
    }


def rows(text):
    calendar = Calendar.from_ical(text)
    return [row(c) for c in calendar.walk() if c.name in ("VEVENT", "VTODO")]


json.dump([rows(text) for text in json.load(sys.stdin)], sys.stdout)
