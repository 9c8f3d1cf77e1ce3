package ical

import (
	"strings"
	"testing"
	"time"
)

// TestWindowsZones: each name in the table is a zone, so a Windows name never goes unresolved for want of data.
func TestWindowsZones(t *testing.T) {
	if len(windowsZones) < 140 {
		t.Errorf("only %d names", len(windowsZones))
	}
	for name, iana := range windowsZones {
		if name == "UTC" {
			continue
		}
		z := lookup(name)
		if z == nil || z.name != iana || z.rules != nil {
			t.Errorf("%s: got %+v, want %s", name, z, iana)
		}
	}
	for _, name := range strings.Fields(ianaNames) {
		if _, err := time.LoadLocation(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLookup(t *testing.T) {
	tests := []struct{ tzid, want string }{
		{"Europe/Berlin", "Europe/Berlin"},
		{"EUROPE/BERLIN", "Europe/Berlin"},
		{"/freeassociation.sourceforge.net/Tzfile/Europe/Berlin", "Europe/Berlin"},
		{"/citadel.org/20190914_1/America/Indiana/Vincennes", "America/Indiana/Vincennes"},
		{"Pacific Standard Time 2", "America/Los_Angeles"},
		{"tzone://Microsoft/Utc", "UTC"},
		{"utc", "UTC"}, {"Z", "UTC"}, {"GMT", "GMT"}, {"Etc/GMT-3", "Etc/GMT-3"}, {"CET", "CET"},
		{"America/Los Angeles", "America/Los_Angeles"},
		{"right/Europe/Berlin", "Europe/Berlin"},
		{"", ""}, {"Local", ""}, {"localtime", ""}, {"..", ""}, {"/", ""}, {"Europe", ""}, {"Europe/", ""}, {"zone.tab", ""},
		{"Customized Time Zone", ""}, {"tzone://Microsoft/Custom", ""}, {strings.Repeat("a/", 200) + "UTC", ""},
	}
	for _, tt := range tests {
		got := ""
		if z := lookup(tt.tzid); z != nil {
			got = z.name
		}
		if got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.tzid, got, tt.want)
		}
	}
}

// TestToUTC goes by RFC 5545 3.3.5, hour by hour: a time that has one instant is that one, of two it is the first, a
// time without any takes the offset from before the gap.
func TestToUTC(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "Asia/Kathmandu"} {
		z := lookup(name)
		loc, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		first := map[int64]int64{} // wall time: its first instant
		begin, end := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), time.Date(2013, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
		for u := begin - 3*day; u < end+3*day; u += 900 {
			_, offset := time.Unix(u, 0).In(loc).Zone()
			if _, ok := first[u+int64(offset)]; !ok {
				first[u+int64(offset)] = u
			}
		}
		for wall := begin; wall < end; wall += 900 {
			want, ok := first[wall]
			if !ok {
				last := wall
				for ; !ok; last -= 900 {
					want, ok = first[last-900]
				}
				want += wall - last
			}
			if got := z.utc(wall); got != want {
				t.Fatalf("%s %s: got %s, want %s", name, time.Unix(wall, 0).UTC(), time.Unix(got, 0).UTC(), time.Unix(want, 0).UTC())
			}
		}
	}
}

// TestAlike: a zone described by its rules alone goes by the name of the IANA zone that behaves so.
func TestAlike(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Sydney", "UTC"} {
		z := alike(zoneRules(lookup(name).known), "Customized Time Zone")
		if z == nil || z.name != name {
			t.Errorf("%s: got %+v", name, z)
		}
	}
	for tzid, want := range map[string]string{
		"(UTC+01:00) Brussels, Copenhagen, Madrid, Paris": "Europe/Paris",
		"(UTC+01:00) Sarajevo, Skopje, Warsaw, Zagreb":    "Europe/Warsaw",
	} {
		if z := alike(zoneRules(lookup("Europe/Berlin").known), tzid); z == nil || z.name != want {
			t.Errorf("%s: got %+v", tzid, z)
		}
	}
}

// zoneRules lists a zone's changes of offset from 2020 to 2030.
func zoneRules(z offsets) rules {
	var r rules
	begin := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	last := z.at(begin)
	r = append(r, onset{begin, last, last})
	for u := begin; u < begin+10*366*day; u += 1800 {
		if now := z.at(u); now != last {
			r = append(r, onset{u, last, now})
			last = now
		}
	}
	return r
}
