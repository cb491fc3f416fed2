package quarantine

import (
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
)

// Field is the name of the field on top of a message that was put aside. It counts only as the first of all: those below may
// be a stranger's.
const Field = "X-Quarantine"

// unsafe stands before the reason of what somebody who releases it is to be asked about.
const unsafe = "unsafe; "

// Unsafe is a reason for a message that is put aside for what it holds. It is not released unasked.
func Unsafe(why string) string { return unsafe + why }

// Note is the field of a message that was put aside for a reason, with its line end. shared: other mailboxes have their mail put there as well, so that
// it has to say whose this is.
func Note(why string, shared bool, of ...domains.Address) string {
	value := why
	if shared {
		var all []string
		for _, a := range of {
			all = append(all, a.String())
		}
		value = "for " + strings.Join(all, ", ") + "; " + why
	}
	field, err := rfc2822.NewField(Field, value)
	if err != nil { // a reason that cannot be written down
		reason := "see the log"
		if strings.HasPrefix(why, unsafe) {
			reason = Unsafe(reason)
		}
		return Note(reason, shared, of...)
	}
	return field.Raw()
}

// read is what the first field of a message says. ok is false where it is none of ours.
func read(header *rfc2822.Section) (raw, why string, of []domains.Address, ok bool) {
	for f := range header.All() {
		if !f.Is(Field) {
			break
		}
		why = strings.Join(strings.Fields(f.Value()), " ")
		if list, rest, found := strings.Cut(why, "; "); found && strings.HasPrefix(list, "for ") {
			for a := range strings.SplitSeq(list[len("for "):], ", ") {
				of = append(of, domains.CanonicalAddress(a))
			}
			why = rest
		}
		return f.Raw(), why, of, true
	}
	return "", "", nil, false
}
