package google

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/calcdc/calcdc/connector"
)

// event is an item of the size that Google's have.
func event(n int) string {
	return fmt.Sprintf(`{"kind":"calendar#event","etag":"\"3560630400000022\"","id":"event%06d","status":"confirmed","htmlLink":"https://www.google.com/calendar/event?eid=%032d",`+
		`"created":"2026-06-01T12:00:00.000Z","updated":"2026-06-01T12:00:00.000Z","summary":"Meeting %d","description":%q,"creator":{"email":"alice@example.org","self":true},`+
		`"organizer":{"email":"alice@example.org","self":true},"start":{"dateTime":"2026-06-02T10:00:00+02:00","timeZone":"Europe/Berlin"},`+
		`"end":{"dateTime":"2026-06-02T11:00:00+02:00","timeZone":"Europe/Berlin"},"iCalUID":"event%06d@google.com","sequence":0,`+
		`"attendees":[{"email":"bob@example.org","responseStatus":"accepted"},{"email":"carol@example.org","responseStatus":"needsAction"}],`+
		`"reminders":{"useDefault":true},"eventType":"default"}`, n, n, n, strings.Repeat("words of it ", 20), n)
}

// answer is a page of 2,500 events.
func answerOf(page int, last bool) []byte {
	var b bytes.Buffer
	b.WriteString(`{"kind":"calendar#events","etag":"\"p1\"","items":[`)
	for i := range 2500 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(event(2500*page + i))
	}
	b.WriteString(`],"next`)
	if last {
		b.WriteString(`SyncToken":"x"}`)
	} else {
		fmt.Fprintf(&b, `PageToken":"%d"}`, page+1)
	}
	return b.Bytes()
}

func BenchmarkSplit(b *testing.B) {
	text := answerOf(0, true)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := split(bytes.NewReader(text), func(item) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSnapshot reads 50,000 events in pages of 2,500.
func BenchmarkSnapshot(b *testing.B) {
	var pages [][]byte
	total := 0
	for i := range 20 {
		pages = append(pages, answerOf(i, i == 19))
		total += len(pages[i])
	}
	a, _ := scripted(b, Config{Raw: true}, func(w http.ResponseWriter, r *http.Request) {
		n := 0
		_, _ = fmt.Sscan(r.URL.Query().Get("pageToken"), &n)
		_, _ = w.Write(pages[n])
	})
	b.SetBytes(int64(total))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for page, err := range a.Poll(b.Context(), connector.Query{Stream: stream(connector.Events, team), Fresh: true, Needs: func(string, string) bool { return true }}) {
			if err != nil {
				b.Fatal(err)
			}
			n += len(page.Resources)
		}
		if n != 50_000 {
			b.Fatalf("%d events", n)
		}
	}
}
