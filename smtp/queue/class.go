package queue

import "fmt"

// Class says on whose account an entry takes a place in the queue. Each class
// has its share of the attempts that run and of the entries in memory, so that
// what a stranger can cause never keeps the mail of users waiting.
type Class uint8

// The classes.
const (
	// Ordinary is mail of those who may send: users who have logged in, hosts
	// that are trusted, local programs. It is what Entry.Class is where nobody
	// says otherwise, and always has places that the others cannot take.
	Ordinary Class = iota
	// Stranger is mail of somebody unknown that is passed on, as an alias that
	// leads elsewhere does. Its sender is unproven: it may be forged, and hears
	// of failures only, at the pace of Trickle.
	Stranger
	// Notice is a notification of our own.
	Notice

	classes = 3
)

var classNames = [classes]string{"ordinary", "stranger", "notice"}

// String is the name of a class: "ordinary", "stranger", "notice".
func (c Class) String() string {
	if c < classes {
		return classNames[c]
	}
	return fmt.Sprintf("class %d", c)
}

// ParseClass reads what String writes.
func ParseClass(s string) (Class, error) {
	for c, name := range classNames {
		if s == name {
			return Class(c), nil
		}
	}
	return 0, fmt.Errorf("parse class %q: unknown", s)
}

// MarshalText implements encoding.TextMarshaler.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Class) UnmarshalText(text []byte) (err error) {
	*c, err = ParseClass(string(text))
	return err
}

// reserve is how many of so many places are kept free for a class while it does
// not take them itself: three eighths for ordinary mail, one of two at least,
// and a sixteenth for each of the others, so that nobody starves.
func (c Class) reserve(places int) int {
	if c != Ordinary {
		return places / 16
	}
	if places < 2 {
		return 0
	}
	return max(1, places*3/8)
}

// most is how many of so many places a class may take.
func (c Class) most(places int) int {
	n := places
	for other := range Class(classes) {
		if other != c {
			n -= other.reserve(places)
		}
	}
	if c == Notice {
		n = min(n, places/8) // a report can wait; what it reports is done
	}
	return max(1, n)
}
