package post

import (
	"fmt"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// Forwarded mail has another sender on its way (srs.go) and one field more on
// top, Delivered-To with the address that was forwarded (RFC 9228): when it comes
// back to that address, it goes round in a loop, and is refused at the first turn
// and not after as many as there may be Received fields.

// errForwardLoop: where an alias leads, mail is sent back to the alias.
var errForwardLoop = &smtp.Reply{Code: 554, Enhanced: "5.4.6", Text: "Mail forwarding loop"}

// part is one queue entry of a message that leaves.
type part struct {
	from  smtp.Path
	to    []smtp.Recipient
	first string          // a field that only this entry gets
	by    domains.Address // the user who has it forwarded
	keep  bool            // whose mailbox keeps a copy
}

// entryKey tells the parts of a message apart.
type entryKey struct {
	from  smtp.Path
	first string
}

// mostAliases is how many aliases of one message get entries of their own, so
// that nobody reads of another's address; those beyond go without the field.
const mostAliases = 16

// parts sorts those who are elsewhere into entries.
func (o *Outbound) parts(dir Directory, e *smtp.Envelope, to []remote) ([]*part, error) {
	rewritten, err := o.forwardedFrom(dir, e.From)
	if err != nil {
		return nil, err
	}
	var parts []*part
	byKey := make(map[entryKey]*part)
	aliases := make(map[string]bool)
	for _, r := range to {
		from, first := e.From, ""
		switch {
		case r.by != "":
			var ok bool
			if from, first, ok = forwardedBy(r.by, e.Params.SMTPUTF8); !ok {
				return nil, fmt.Errorf("mail cannot be forwarded in the name of %s", r.by)
			}
		case r.forwarded:
			from, first = rewritten, deliveredTo(r.rcpt.Path, e.Params.SMTPUTF8)
			if aliases[first] = true; len(aliases) > mostAliases {
				first = ""
			}
		}
		r.rcpt.Path = r.path
		key := entryKey{from, first}
		if byKey[key] == nil {
			byKey[key] = &part{from: from, first: first}
			byKey[key].by, byKey[key].keep = r.by, r.keep
			parts = append(parts, byKey[key])
		}
		byKey[key].to = append(byKey[key].to, r.rcpt)
	}
	return parts, nil
}

// deliveredTo is the field for an alias; none where it may not be written, nor
// for what only stood for a sender.
func deliveredTo(alias smtp.Path, utf8 bool) string {
	address := alias.String()
	if alias.Domain == "" || looksRewritten(alias.Local) || !utf8 && !alias.IsASCII() || strings.ContainsAny(address, "\r\n") {
		return ""
	}
	return "Delivered-To: " + address + "\r\n"
}

// forwardLoop reports whether a message has been forwarded by one of the aliases
// that it is for.
func forwardLoop(dir Directory, e *smtp.Envelope, header *rfc2822.Section) bool {
	var passed map[domains.Address]bool
	for i := range e.To {
		t, _ := targetsOf(&e.To[i])
		if !t.Local || len(t.Elsewhere) == 0 || looksRewritten(e.To[i].Path.Local) {
			continue
		}
		if passed == nil {
			passed = deliveredBy(dir, header)
		}
		if passed[dir.Address(e.To[i].Path)] {
			return true
		}
	}
	return false
}

// deliveredBy are the addresses that a message says it has been forwarded by.
func deliveredBy(dir Directory, header *rfc2822.Section) map[domains.Address]bool {
	passed := make(map[domains.Address]bool)
	for _, f := range header.Named("Delivered-To") {
		value := strings.Trim(strings.TrimSpace(f.Value()), "<>")
		if p, err := smtp.ParseMailbox(value, smtp.PathUTF8); err == nil {
			passed[dir.Address(p)] = true
		}
	}
	return passed
}
