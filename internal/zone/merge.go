package zone

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/smtp/spf"
)

// decideSPF is what becomes of the one SPF record of a name that is not the one wanted. A record that
// has all the terms wanted, and others of somebody's, needs nothing. Any other was written by hand and
// is left, unless the server is to merge.
func (s *Server) decideSPF(ctx context.Context, want, have *dns.TXT) *Change {
	left := func(why string) *Change {
		return &Change{Left: differs([]dns.RR{want}, []dns.RR{have}) + why}
	}
	merged, err := mergeSPF(trim(want.Hdr.Name), text(want), text(have))
	switch {
	case err == nil && merged == text(have):
		return &Change{}
	case s.SPF == nil:
		return left("")
	case err == nil:
		err = s.affordable(ctx, trim(want.Hdr.Name), merged)
	}
	if err != nil {
		return left(fmt.Sprintf("; it cannot be merged: %v", err))
	}
	rr := txt(want.Hdr.Name, merged)
	rr.Hdr.Ttl = have.Hdr.Ttl // it stays its owner's
	return &Change{Add: []dns.RR{rr}, Remove: []dns.RR{have}}
}

// mergeSPF adds to the record have of a name those terms of want that it lacks, and changes nothing else of
// it: not what it says of all other hosts either. They go to the front, where nothing that stands before
// them can speak against them, and where they cost those who hear from us the fewest lookups.
func mergeSPF(name, want, have string) (string, error) {
	old, err := spf.Parse(have)
	if err != nil {
		return "", err
	}
	wanted, err := spf.Parse(want)
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(old.Terms, func(t spf.Term) bool { return t.Kind == spf.All && t.Qualifier == spf.Pass }) {
		return "", errors.New(`"all" in it lets anybody send as the domain`)
	}
	var add strings.Builder
	for _, t := range wanted.Terms {
		if t.Kind != spf.All && !covered(name, t, old.Terms) {
			add.WriteString(" " + t.Text)
		}
	}
	const version = len("v=spf1")
	return have[:version] + add.String() + have[version:], nil
}

// covered reports whether a term passes by one of others, before which none says anything else.
func covered(name string, want spf.Term, have []spf.Term) bool {
	for _, t := range have {
		switch {
		case t.Qualifier == spf.None: // a modifier, whose place does not count
		case t.Qualifier != spf.Pass:
			return false
		case means(name, t, want):
			return true
		}
	}
	return false
}

// means reports whether all that a mechanism at a name matches is matched by another one.
func means(name string, wide, narrow spf.Term) bool {
	if wide.Kind != narrow.Kind {
		return false
	}
	if narrow.Prefix.IsValid() {
		return wide.Prefix.Bits() <= narrow.Prefix.Bits() && wide.Prefix.Contains(narrow.Prefix.Addr())
	}
	at := func(t spf.Term) string {
		if t.Domain == "" {
			return name
		}
		return strings.TrimSuffix(strings.ToLower(t.Domain), ".")
	}
	return at(wide) == at(narrow) && wide.Bits4 <= narrow.Bits4 && wide.Bits6 <= narrow.Bits6
}

// affordable is an error if others would fail with a record at a name: with too many lookups it says nothing
// about anybody any more, those included whom it named before.
func (s *Server) affordable(ctx context.Context, name, record string) error {
	c := spf.Checker{Resolver: instead{s.SPF, name, record}, Receiver: name}
	bill, err := c.Bill(ctx, spf.Query{IP: netip.MustParseAddr("192.0.2.1"), Helo: name, MailFrom: "postmaster@" + name})
	switch {
	case bill.Lookups > spf.MaxLookups || errors.Is(err, spf.ErrLookups):
		return fmt.Errorf("it would need more lookups than the %d that others make", spf.MaxLookups)
	case bill.Voids > spf.MaxVoids:
		return fmt.Errorf("%d of its terms would lead to nothing, and others fail with more than %d", bill.Voids, spf.MaxVoids)
	}
	return err
}

// instead is a resolver to which one name's record is another already.
type instead struct {
	spf.Resolver
	name, record string
}

// LookupTXT implements spf.Resolver.
func (i instead) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if strings.EqualFold(trim(name), i.name) {
		return []string{i.record}, nil
	}
	return i.Resolver.LookupTXT(ctx, name)
}
