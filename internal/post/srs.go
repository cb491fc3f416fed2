package post

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// Mail that an alias leads to another host leaves with a sender of ours
// (queue.SRS), and what comes back to that sender goes on to the true one.

// Refusals of addresses that look like rewritten senders. Whoever guesses
// them would have us send mail to any address at all.
var (
	errForgedSRS = &smtp.Reply{Code: 550, Enhanced: "5.1.1", Text: "No such address: this is not a sender that this server has rewritten"}
	errStaleSRS  = &smtp.Reply{Code: 550, Enhanced: "5.1.6", Text: "This rewritten sender has expired"}
)

// newSRS makes the rewriting of one set of settings. Its key lies below the
// data directory and is made when aliases may first lead elsewhere; bounces
// are still taken when they may no more.
func newSRS(s *conf.Settings) (*queue.SRS, error) {
	srs := &queue.SRS{Domain: domains.Canonical(cmp.Or(s.Queue.SRSDomain, s.ServerName))}
	name := filepath.Join(s.DataDir, "srs.key")
	var key seal.Key
	var err error
	if s.Queue.Forward {
		key, _, err = seal.EnsureKey(name)
	} else if key, err = seal.LoadKey(name); errors.Is(err, fs.ErrNotExist) {
		return srs, nil
	}
	if err != nil {
		return nil, fmt.Errorf("key of rewritten senders: %w", err)
	}
	srs.Key, err = key.Derive("srs")
	return srs, err
}

// forwardedFrom is the sender a message has when an alias leads it to another
// host: one of ours, unless it is so already. Null stays null.
func (o *Outbound) forwardedFrom(dir Directory, from smtp.Path) (smtp.Path, error) {
	srs := o.srs.Load()
	if from.IsNull() || srs.Key == nil || dir.IsLocal(from) {
		return from, nil
	}
	from.Domain = from.DomainName().String()
	return srs.Forward(from, time.Now())
}

// returned finds out who is behind a rewritten sender that mail comes back to.
// ok is false where the address is none: an ordinary one.
func (o *Outbound) returned(to smtp.Path) (sender smtp.Path, ok bool, err error) {
	srs := o.srs.Load()
	if srs.Key == nil || !looksRewritten(to.Local) || to.DomainName() != srs.Domain {
		return to, false, nil
	}
	sender, err = srs.Reverse(to, time.Now())
	switch {
	case errors.Is(err, queue.ErrStale):
		return to, true, errStaleSRS
	case err != nil:
		return to, true, errForgedSRS.With(err)
	}
	return sender, true, nil
}

// behind is who reads what comes back to a sender: a bounce is addressed to them
// and not to what we made of their address. One that has expired stays as it is.
func (o *Outbound) behind(from smtp.Path) smtp.Path {
	if sender, ok, err := o.returned(from); ok && err == nil {
		return sender
	}
	return from
}

func looksRewritten(local string) bool {
	return len(local) > 5 && (strings.EqualFold(local[:4], "SRS0") || strings.EqualFold(local[:4], "SRS1")) &&
		strings.IndexByte("=-+", local[4]) >= 0
}
