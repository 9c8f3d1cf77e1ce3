package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/calcdc/calcdc/internal/verify"
)

// printVerification prints a line for each row that differs and each stream that was not compared, then what it comes to.
func printVerification(w io.Writer, r *verify.Report) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, d := range r.Differences {
		stream, id := "-", clean(d.ID)
		if d.Kind != "" {
			stream = clean(d.Stream.String())
		}
		details := differenceDetails(d)
		for i, detail := range details {
			if i > 0 {
				_, _ = fmt.Fprintf(tw, "\t\t\t%s\n", detail)
				continue
			}
			_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", d.What, stream, id, detail)
		}
	}
	for _, a := range r.NotCompared {
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", a.Why, clean(apartName(a)), count(a.Rows, "row"), clean(a.Detail))
	}
	return errors.Join(tw.Flush(), printSummary(w, r))
}

func apartName(a verify.Apart) string {
	switch {
	case a.Kind != "":
		return a.Stream.String()
	case a.Account != "":
		return a.Source + "/" + a.Account
	}
	return a.Source
}

// differenceDetails are the lines that say in what a row differs.
func differenceDetails(d verify.Difference) []string {
	switch d.What {
	case verify.Missing:
		return []string{"the source has it, the topic does not"}
	case verify.Extra:
		return []string{"the topic has it, the source does not"}
	case verify.Held:
		return []string{d.Detail}
	}
	if d.Detail != "" || len(d.Fields) == 0 {
		return []string{clean(d.Detail)}
	}
	var lines []string
	for _, f := range d.Fields {
		topic, source := apartTexts(fieldText(f.Topic), fieldText(f.Source))
		lines = append(lines, clean(fmt.Sprintf("%s: %s in the topic, %s at the source", f.Name, topic, source)))
	}
	return lines
}

func fieldText(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // what was decoded can be encoded
	return strings.TrimSuffix(b.String(), "\n")
}

// apartTexts shortens two texts to where they begin to differ.
func apartTexts(a, b string) (string, string) {
	const before, most = 16, 64
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	from := max(0, i-before)
	if max(len(a), len(b)) <= most {
		from = 0
	}
	cut := func(s string) string {
		short := shortened(strings.ToValidUTF8(s[min(from, len(s)):], ""), most)
		if from > 0 {
			short = "…" + short
		}
		return short
	}
	return cut(a), cut(b)
}

// printSummary says what it comes to.
func printSummary(w io.Writer, r *verify.Report) error {
	lines := []string{fmt.Sprintf("%s compared: %s the same, %s", count(r.Streams, "stream"), countAre(r.Rows), differText(r.Total))}
	if more := r.Total - int64(len(r.Differences)); more > 0 {
		lines = append(lines, fmt.Sprintf("%d of these are not shown: see --limit", more))
	}
	for _, c := range []struct {
		n    int64
		text string
	}{
		{r.Held, "of these are held: their deletes wait for a second look or a decision, or were refused (calcdc deletes list)"},
		{r.Changed, "changed while they were looked at, and are the same now"},
		{r.Moving, "changed at each look: nothing can be said of them"},
		{r.Older, "have the form of an earlier release, of the same bytes at the source: they take the new form at their next change"},
		{r.ParseErrors, "of the rows that are the same have a parse_error"},
		{r.Unread, "could not be read at the source (resources): their rows were not compared"},
	} {
		if c.n > 0 {
			lines = append(lines, fmt.Sprintf("%d %s", c.n, c.text))
		}
	}
	if n := len(r.NotCompared); n > 0 {
		lines = append(lines, count(n, "stream")+" not compared")
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

func countAre(n int64) string {
	if n == 1 {
		return "1 row is"
	}
	return fmt.Sprintf("%d rows are", n)
}

func differText(n int64) string {
	switch n {
	case 0:
		return "none differs"
	case 1:
		return "1 differs"
	}
	return fmt.Sprintf("%d differ", n)
}
