package ical

import "testing"

func TestMeetingLink(t *testing.T) {
	tests := []struct{ text, want string }{
		{"https://zoom.us/j/1", "https://zoom.us/j/1"},
		{"Join: https://us02web.zoom.us/j/1?pwd=x.", "https://us02web.zoom.us/j/1?pwd=x"},
		{"see http://example.org/ or (https://meet.google.com/abc-defg-hij)", "https://meet.google.com/abc-defg-hij"},
		{"<https://teams.microsoft.com/l/meetup-join/19%3ax%40thread.v2/0?context=%7b%7d>", "https://teams.microsoft.com/l/meetup-join/19%3ax%40thread.v2/0?context=%7b%7d"},
		{"https://TEAMS.live.com/meet/9", "https://TEAMS.live.com/meet/9"},
		{"https://jitsi.example.org/Room", "https://jitsi.example.org/Room"},
		{"ftp://zoom.us/j/1 https://meet.jit.si/R", "https://meet.jit.si/R"},
		{"https://zoom.us/pricing", ""},
		{"https://zoom.us/j/", ""},
		{"https://zoom.us.example.org/j/1", ""},
		{"https://evilzoom.us/j/1", ""},
		{"https://meet.google.com/", ""},
		{"https://example.org/?next=https://zoom.us/j/1", ""},
		{"zoom.us/j/1", ""}, {"://", ""}, {"p://", ""}, {"s://", ""}, {"https://", ""}, {"", ""},
	}
	for _, tt := range tests {
		if got := meetingLink(tt.text); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
}
