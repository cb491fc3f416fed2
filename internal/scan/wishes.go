package scan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/internal/milter"
	"github.com/postrider-mail/postrider/rfc2822"
)

// wishes are what a milter wants to have changed. Fields are put on top of a message, where it is ours to write: above all that the
// message has brought, below our own. What would change an octet of the message is not done.
type wishes struct {
	header *rfc2822.Section // of the message as it came
	exact  bool             // values of fields have all that follows the colon

	fields     []string // from above to below
	inserted   int      // how many of these were inserted: they stand above those that were added
	octets     int      // of the fields
	quarantine string   // why it is put aside; empty: it is not
	refused    []string // what is not done, for the log
}

const (
	// MostAdded is how many octets the fields of one milter may have. More would be no remark on a message any more.
	MostAdded = 16 << 10
	// mostRefused is how many refusals the log is told of, for one message.
	mostRefused = 8
)

// take is told of one wish.
func (w *wishes) take(c milter.Change) {
	switch c.Kind {
	case milter.QuarantineMail:
		w.quarantine = cmp.Or(strings.TrimSpace(oneLine(c.Value)), "it is to be put aside")
		w.quarantine = strings.ToValidUTF8(w.quarantine[:min(len(w.quarantine), mostReason)], "")
	case milter.AddField:
		w.put(c, len(w.fields))
	case milter.InsertField:
		// 0 is above all; 1 is there as well, as what stands above the message here (Received) is not shown to a milter.
		w.put(c, min(max(0, int(min(c.Index, MostAdded))-1), w.inserted))
	case milter.ChangeField:
		w.change(c)
	default:
		w.refuse(string(c.Kind))
	}
}

// mostReason is how many octets of a reason stand in a field.
const mostReason = 200

// change is honoured where there is no such field: sendmail adds it then. What the message has brought stays as it came.
func (w *wishes) change(c milter.Change) {
	theirs := w.header.Named(c.Name)
	n := max(1, int(min(c.Index, MostAdded)))
	switch {
	case n > len(theirs) && c.Value == "":
	case n > len(theirs):
		w.put(c, len(w.fields))
	default:
		if c.Value == "" {
			c.Kind = "remove field"
		} else if strings.TrimSpace(c.Value) == theirs[n-1].Value() {
			return // it is so already
		}
		w.refuse(of(c))
	}
}

// put makes a field of a wish, and sees to it that it is one field and nothing else.
func (w *wishes) put(c milter.Change, at int) {
	raw, ok := fieldOf(c.Name, c.Value, w.exact)
	if !ok || w.octets+len(raw) > MostAdded {
		w.refuse(of(c))
		return
	}
	w.octets += len(raw)
	w.fields = slices.Insert(w.fields, at, raw)
	if c.Kind == milter.InsertField {
		w.inserted++
	}
}

// fieldOf is a field as it will be read. Milters write LF for the ends of its lines; a line that does not go on with a blank would be a
// field of its own, or the end of the header, and is none of theirs to write.
func fieldOf(name, value string, exact bool) (raw string, ok bool) {
	value = strings.TrimRight(strings.ReplaceAll(value, "\r\n", "\n"), "\n")
	if !exact {
		value = " " + value
	}
	raw = name + ":" + strings.ReplaceAll(value, "\n", "\r\n") + "\r\n"
	for line := range strings.Lines(raw) {
		if strings.TrimSpace(line) == "" {
			return "", false // some would take it for the end of the header
		}
		if len(line) > longestLine+2 {
			field, _ := rfc2822.NewField(name, strings.Join(strings.Fields(value), " "))
			raw = field.Raw() // nothing, if it cannot be folded
			break
		}
	}
	section, n, _ := rfc2822.ParseHeader(raw + "\r\n")
	first, has := section.First(name)
	return raw, has && n == len(raw)+2 && section.Len() == 1 && first.Raw() == raw && !strings.ContainsAny(strings.ReplaceAll(raw, "\r\n", ""), "\r\n\x00")
}

// longestLine is how long a line may be without its end (RFC 5322 §2.1.1).
const longestLine = 998

// refuse notes what is not done.
func (w *wishes) refuse(what string) {
	if len(w.refused) < mostRefused && !slices.Contains(w.refused, what) {
		w.refused = append(w.refused, what)
	}
}

// of is a wish about a field, in words.
func of(c milter.Change) string {
	name := oneLine(c.Name)
	return string(c.Kind) + " " + strings.ToValidUTF8(name[:min(len(name), 40)], "")
}
