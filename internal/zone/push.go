package zone

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// Change is what is to be done to the records of one name and type.
type Change struct {
	Zone   string // absolute
	Add    []dns.RR
	Remove []dns.RR
	// Left says why a set that is not as wanted stays as it is: it was made by
	// somebody else, and only they know what for. Nothing is added or removed then.
	Left string

	seen *set
	want []Record
}

// Empty reports whether nothing is to be done.
func (c *Change) Empty() bool { return len(c.Add)+len(c.Remove) == 0 }

// Compare returns what a server would have to change to have the records, and
// what is not as wanted and has to be changed by hand. It changes nothing. A set
// that is as wanted has no Change.
//
// Only records that nobody but this server has a use for are ever replaced: DKIM keys
// under the selectors given, the version of the MTA-STS policy, TLSA records of the form 3 1 1 of
// port 25, a CAA record that only lacks our account, and a DMARC record that differs in nothing but what the domain's own settings say. Of anything else,
// a set is made where there is none. An SPF record is added to where SPF is there.
func (s *Server) Compare(ctx context.Context, records []Record) ([]*Change, error) {
	var changes []*Change
	for _, want := range sets(records) {
		c, err := s.compare(ctx, want)
		if errors.Is(err, errNotHere) {
			c, err = &Change{Left: fmt.Sprintf("%s %s is %v", Name(want[0].RR), Type(want[0].RR), err)}, nil
		}
		if err != nil {
			return nil, err
		}
		if c != nil {
			changes = append(changes, c)
		}
	}
	for i, c := range changes {
		c.giveWay(changes)
		c.share(changes[:i])
	}
	return slices.DeleteFunc(changes, func(c *Change) bool { return c.Empty() && c.Left == "" }), nil
}

// giveWay adds no address to a host that has others of somebody else's: half of
// its mail would go elsewhere.
func (c *Change) giveWay(changes []*Change) {
	for _, other := range changes {
		if other.Left != "" && len(c.Add) > 0 && other.isAddress() && c.isAddress() && other.seen.name == c.seen.name {
			c.Left = fmt.Sprintf("%s %s is not added, since the host has other addresses", Name(c.Add[0]), Type(c.Add[0]))
			c.Add = nil
		}
	}
}

// share has one change of those of names that lead to the same one by CNAME, and none where they want
// different records there: each push would put one in the place of another.
func (c *Change) share(before []*Change) {
	for _, other := range before {
		if c.seen == nil || other.seen == nil || c.seen.name != other.seen.name || c.seen.kind != other.seen.kind || !alike(c.want[0].RR, other.want[0].RR) {
			continue
		}
		if len(different(c.want, other.want))+len(different(other.want, c.want)) > 0 {
			other.Left = fmt.Sprintf("%s and %s both lead to %s, and different records are wanted there; it is left as it is", Name(other.want[0].RR), Name(c.want[0].RR), trim(c.seen.name))
			other.Add, other.Remove = nil, nil
		}
		c.Add, c.Remove, c.Left = nil, nil, ""
		return
	}
}

// alike reports whether two records cannot both stand at one name: texts of different kinds can.
func alike(x, y dns.RR) bool {
	a, ok := x.(*dns.TXT)
	b, ok2 := y.(*dns.TXT)
	return !ok || !ok2 || kindOf(text(a)) == kindOf(text(b))
}

// different are the records of a that b has not, wherever they stand.
func different(a, b []Record) (all []dns.RR) {
	at := func(records []Record) (moved []dns.RR) {
		for _, r := range records {
			rr := dns.Copy(r.RR)
			rr.Header().Name = "."
			moved = append(moved, rr)
		}
		return moved
	}
	return without(at(a), at(b))
}

func (c *Change) isAddress() bool {
	return c.seen != nil && (c.seen.kind == dns.TypeA || c.seen.kind == dns.TypeAAAA)
}

// sets groups records by name and type, in their order.
func sets(records []Record) [][]Record {
	var all [][]Record
	at := make(map[string]int)
	for _, r := range records {
		key := r.RR.Header().Name + " " + Type(r.RR)
		i, ok := at[key]
		if !ok {
			i = len(all)
			at[key] = i
			all = append(all, nil)
		}
		all[i] = append(all[i], r)
	}
	return all
}

func (s *Server) compare(ctx context.Context, want []Record) (*Change, error) {
	first := want[0]
	if srv, ok := first.RR.(*dns.SRV); first.Provider || ok && srv.Target == "." {
		return nil, nil // what this server has not, another may have
	}
	have, err := s.look(ctx, first.RR.Header().Name, first.RR.Header().Rrtype)
	if err != nil {
		return nil, err
	}
	if first.SignedOnly && len(have.records) == 0 {
		if signed, err := s.signed(ctx, have.zone); err != nil || !signed {
			return nil, err
		}
	}
	c := s.decide(ctx, want, have)
	c.Zone, c.seen, c.want = have.zone, have, want
	return c, nil
}

// decide says what is to become of a set.
func (s *Server) decide(ctx context.Context, want []Record, have *set) *Change {
	wanted := make([]dns.RR, len(want))
	for i, r := range want {
		wanted[i] = dns.Copy(r.RR)
		wanted[i].Header().Name = have.name
	}
	switch wanted[0].(type) {
	case *dns.TXT:
		return s.decideText(ctx, wanted[0].(*dns.TXT), have)
	case *dns.TLSA:
		if strings.HasPrefix(have.name, "_25._tcp.") { // else a CNAME leads to where other services may go as well
			return decideTLSA(wanted, have)
		}
	case *dns.CAA:
		return decideCAA(wanted, have)
	case *dns.CNAME:
		if have.any && len(have.records) == 0 {
			return &Change{Left: fmt.Sprintf("%s has other records, so it cannot be a CNAME", trim(have.name))}
		}
	}
	return decideWhole(wanted, have)
}

// decideWhole makes a set where there is none.
func decideWhole(want []dns.RR, have *set) *Change {
	missing := without(want, have.records)
	switch {
	case len(have.records) == 0:
		return &Change{Add: want}
	case len(missing) == 0 && len(have.records) == len(want):
		return &Change{}
	}
	return &Change{Left: differs(want, have.records)}
}

// without is the records of a that b has not.
func without(a, b []dns.RR) []dns.RR {
	return slices.DeleteFunc(slices.Clone(a), func(x dns.RR) bool {
		return slices.ContainsFunc(b, func(y dns.RR) bool { return same(x, y) })
	})
}

// same reports whether two records say the same, whatever their times to live and
// however their texts are cut into strings.
func same(x, y dns.RR) bool {
	a, ok := x.(*dns.TXT)
	b, ok2 := y.(*dns.TXT)
	if ok && ok2 {
		return strings.EqualFold(a.Hdr.Name, b.Hdr.Name) && text(a) == text(b)
	}
	return dns.IsDuplicate(x, y)
}

func differs(want, have []dns.RR) string {
	return fmt.Sprintf("%s %s was not made here and is left as it is: it is %s, and should be %s", Name(have[0]), Type(have[0]), values(have), values(want))
}

// values lists what records say, which may be anything, in quotes.
func values(records []dns.RR) string {
	all := make([]string, len(records))
	for i, rr := range records {
		all[i] = strconv.Quote(Value(rr))
	}
	slices.Sort(all)
	return strings.Join(all, " and ")
}

// decideTLSA replaces keys of the form that is made here.
func decideTLSA(want []dns.RR, have *set) *Change {
	c := &Change{Add: without(want, have.records)}
	var foreign []dns.RR
	for _, rr := range have.records {
		if _, ours := spki(rr.(*dns.TLSA)); ours {
			c.Remove = append(c.Remove, without([]dns.RR{rr}, want)...)
		} else {
			foreign = append(foreign, rr)
		}
	}
	if c.Empty() && len(foreign) > 0 {
		c.Left = fmt.Sprintf("%s TLSA has %s as well, which was not made here", trim(have.name), values(foreign))
	}
	return c
}

// decideText looks at those texts of a name that are of the same kind, told by
// their version. All others are nobody's business here.
func (s *Server) decideText(ctx context.Context, want *dns.TXT, have *set) *Change {
	kind := kindOf(text(want))
	var alike []dns.RR
	for _, rr := range have.records {
		if t := rr.(*dns.TXT); kindOf(text(t)) == kind {
			alike = append(alike, t)
		}
	}
	switch {
	case len(alike) == 0:
		return &Change{Add: []dns.RR{want}}
	case len(alike) == 1 && same(want, alike[0]):
		return &Change{}
	case kind == kindDKIM || kind == kindSTS:
		return &Change{Add: without([]dns.RR{want}, alike), Remove: without(alike, []dns.RR{want})}
	case len(alike) > 1:
		return &Change{Left: fmt.Sprintf("%s has %d %s records, and others go by none of them; one has to go: %s", trim(have.name), len(alike), kind, values(alike))}
	case kind == kindSPF:
		return s.decideSPF(ctx, want, alike[0].(*dns.TXT))
	case kind == kindDMARC && samePolicy(text(want), text(alike[0].(*dns.TXT))):
		return &Change{Add: []dns.RR{want}, Remove: alike}
	}
	return &Change{Left: differs([]dns.RR{want}, alike)}
}

// The kinds of texts.
const (
	kindSPF    = "SPF"
	kindDKIM   = "DKIM"
	kindDMARC  = "DMARC"
	kindSTS    = "MTA-STS"
	kindTLSRPT = "TLS-RPT"
)

// kindOf tells by its version what a text is, also one that is written wrong.
func kindOf(value string) string {
	value = strings.ToLower(strings.Trim(value, " \t\""))
	for version, kind := range map[string]string{
		"v=spf1": kindSPF, "v=dkim1": kindDKIM, "v=dmarc1": kindDMARC, "v=stsv1": kindSTS, "v=tlsrptv1": kindTLSRPT,
	} {
		if rest, ok := strings.CutPrefix(value, version); ok && (rest == "" || !isLetter(rest[0])) {
			return kind
		}
	}
	if strings.HasPrefix(value, "k=") || strings.HasPrefix(value, "p=") {
		return kindDKIM // v= may be left out (RFC 6376 §3.6.1)
	}
	return ""
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || isDigit(c) }

// samePolicy reports whether two DMARC records differ in nothing but p.
func samePolicy(a, b string) bool { return withoutPolicy(a) == withoutPolicy(b) }

func withoutPolicy(value string) string {
	var kept []string
	for tag := range strings.SplitSeq(value, ";") {
		if key, _, _ := strings.Cut(tag, "="); strings.TrimSpace(key) != "p" && strings.TrimSpace(tag) != "" {
			kept = append(kept, strings.TrimSpace(tag))
		}
	}
	return strings.Join(kept, ";")
}

// Apply makes the changes, one update for each zone, which is made whole or not at
// all. It then looks whether the server shows them.
func (s *Server) Apply(ctx context.Context, changes []*Change) error {
	byZone := make(map[string][]*Change)
	for _, c := range changes {
		if !c.Empty() {
			byZone[c.Zone] = append(byZone[c.Zone], c)
		}
	}
	for _, zone := range slices.Sorted(maps.Keys(byZone)) {
		if err := s.update(ctx, zone, byZone[zone]); err != nil {
			return err
		}
		for _, c := range byZone[zone] {
			if err := s.shows(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// shows says what of a change the server does not show.
func (s *Server) shows(ctx context.Context, c *Change) error {
	sample := append(slices.Clone(c.Add), c.Remove...)[0]
	have, err := s.look(ctx, sample.Header().Name, sample.Header().Rrtype)
	if err != nil {
		return err
	}
	if missing := without(c.Add, have.records); len(missing) > 0 {
		return fmt.Errorf("%s took the update, but does not show %s", s.Address, Line(missing[0]))
	}
	if stale := without(c.Remove, without(c.Remove, have.records)); len(stale) > 0 {
		return fmt.Errorf("%s took the update, but still shows %s", s.Address, Line(stale[0]))
	}
	return nil
}

func trim(name string) string { return strings.TrimSuffix(name, ".") }
