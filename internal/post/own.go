package post

import (
	"io"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// What a user's program hands over is looked at once more before it counts as the
// user's mail.

// submitted refuses mail of users that names others as its author, and takes out
// the blind copies, which everybody could read (RFC 5322 §3.6.3; RFC 6409 §8
// leaves it to this server).
func (r *Receiver) submitted(e *smtp.Envelope, m *message) error {
	if !r.Submission {
		return nil
	}
	if m.header.Truncated() {
		return TooLong(m.busy) // a blind copy may stand beyond
	}
	if err := r.ownFields(e, m.header); err != nil {
		return err
	}
	if m.header.Has("Bcc") {
		m.body = without(m.header, m.body, "Bcc")
	}
	return nil
}

// without gives a message without these fields, which go from its header as well.
// All else stays, octet for octet.
func without(header *rfc2822.Section, whole io.Reader, names ...string) io.Reader {
	rest := beyond(whole, header.Size())
	header.Remove(names...)
	return io.MultiReader(strings.NewReader(header.String()), rest)
}

// beyond gives what follows the first n octets.
func beyond(r io.Reader, n int) io.Reader {
	return &skipper{r: r, left: int64(n)}
}

type skipper struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (s *skipper) Read(p []byte) (int, error) {
	if s.left > 0 {
		n, err := io.CopyN(io.Discard, s.r, s.left)
		if s.left -= n; err != nil {
			return 0, err
		}
	}
	return s.r.Read(p)
}

// ownFields refuses fields that name an address which the account may not send
// from. One that names nobody who could be made out is refused as well: others may
// read it otherwise.
func (r *Receiver) ownFields(e *smtp.Envelope, header *rfc2822.Section) error {
	rules := r.rules(e.Session)
	if e.Session.User == "" || r.anybody || len(rules.OwnFields) == 0 {
		return nil
	}
	for _, name := range rules.OwnFields {
		for _, field := range header.Named(name) {
			named, _ := rfc2822.ReadAddressList(field.Value())
			if len(named) == 0 {
				return smtp.ErrSenderNotOwned.Textf("%s names no address", name)
			}
			for _, a := range named {
				if !owns(rules.Directory, domains.Address(e.Session.User), smtp.Path{Local: a.Local, Domain: a.Domain}) {
					return smtp.ErrSenderNotOwned.Textf("%s may not write <%s> in %s", e.Session.User, a.Addr(), name)
				}
			}
		}
	}
	return nil
}

// owns reports whether a path is of an account, or of a user of this host.
func owns(dir Directory, account domains.Address, path smtp.Path) bool {
	return dir.Address(path) == account || dir.MaySend(account, path)
}

// speaksFor tells whose domains the client of a transaction may be taken to speak for, whatever the
// settings let its messages say: a user for those where he has an address, that of the envelope say.
func (r *Receiver) speaksFor(e *smtp.Envelope) func(smtp.Path) bool {
	user, dir := domains.Address(e.Session.User), r.rules(e.Session).Directory
	if user == "" || r.anybody {
		trusted := r.trusts(e.Session)
		return func(smtp.Path) bool { return trusted }
	}
	return func(p smtp.Path) bool {
		at := dir.Address(p).Domain()
		return at == user.Domain() || at == dir.Address(e.From).Domain() && owns(dir, user, e.From) || owns(dir, user, p)
	}
}
