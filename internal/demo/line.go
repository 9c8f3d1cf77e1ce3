package demo

// side says where a line belongs.
type side int

const (
	onCalendar side = iota // what people do
	onTopic                // what consumers read
	onCaption              // what is about to be seen
	onLog                  // what the connector logs
	onScore                // how the two sides compare
)

// line is one thing that happened.
type line struct {
	side  side
	op    string // + ~ - ! of people; c u d r of a record, ∅ of a tombstone, = of a marker
	where string // calendar
	id    string // of a row
	what  string
}
