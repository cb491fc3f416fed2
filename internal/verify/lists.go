package verify

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dnslist"
)

// What DNS lists know of a stranger. They are asked at RCPT, when a login can come no more, and for a recipient
// who is here; all of them at one time.

// Allow is the Action of a list's code that speaks for a client: no other list counts, and what is only
// suspicious does not.
const Allow Action = "allow"

// Lists are DNS lists and what their answers mean.
type Lists struct {
	Group *dnslist.Group
	Means map[*dnslist.List][]Meaning
}

// Meaning is what an answer means to this host. Of those of a list the first that fits decides.
type Meaning struct {
	Codes  dnslist.Codes
	Action Action
	Text   string // for who is refused; "{ip}" is his address
}

// Listed is an answer that means something.
type Listed struct {
	List    string // its public name; empty where there is none
	Code    netip.Addr
	Subject string // the address or the domain
	Action  Action
	Text    string
}

// String says so in words.
func (l *Listed) String() string { return fmt.Sprintf("%s lists %s (%s)", l.List, l.Subject, l.Code) }

// listing is what all lists have said about one sender.
type listing struct {
	listed  []Listed // that count, the worst first; none where one allows
	allowed Listed
	unsure  string // a list that may allow, and has not answered
}

// Recipient implements post.Doorkeeper: it refuses those whom a list is to keep out, and those who say that they are this host.
func (v *Verifier) Recipient(ctx context.Context, session *smtp.Session, to *smtp.Recipient) error {
	s, ok := session.Values[v].(*sender)
	if !ok || private(s.client) || s.rules.softestFor(to) != Refuse || toPostmaster(to) {
		return nil
	}
	ctx = s.block.context(ctx)
	if why := v.impostor(ctx, s); why != nil {
		return why
	}
	l := v.listing(ctx, s)
	if l == nil || len(l.listed) == 0 || l.listed[0].Action != Refuse {
		return nil
	}
	if s.rules.knowsHosts() {
		v.ask(ctx, s)
		s.wait(ctx)
	}
	if v.forwarded(ctx, s, s.known()) {
		return nil
	}
	return l.reply()
}

// softestFor is the most that is done with mail for one recipient.
func (r *Rules) softestFor(to *smtp.Recipient) Action {
	if a, ok := r.Softest[to.Path.DomainName()]; ok {
		return a
	}
	return Refuse
}

// toPostmaster reports whether mail is for those who mend what is wrong. Who is listed by mistake has nobody else
// to turn to (RFC 5321 §4.5.1, RFC 2142): it is marked, not refused.
func toPostmaster(to *smtp.Recipient) bool {
	local := strings.ToLower(to.Path.Local)
	return local == "postmaster" || local == "abuse"
}

// known is what is known of a client by now.
func (s *sender) known() iprevClient {
	select {
	case <-s.done:
		return iprevClient{s.client.String(), s.iprev.name, s.iprev.result}
	default:
		return iprevClient{Addr: s.client.String(), Result: "temperror"}
	}
}

// listing asks the lists, once for a sender; nil where there are none.
func (v *Verifier) listing(ctx context.Context, s *sender) *listing {
	lists := s.rules.Lists
	if lists == nil || s.lists != nil {
		return s.lists
	}
	s.lists = new(listing)
	if slices.ContainsFunc(s.rules.Forwarders, func(p netip.Prefix) bool { return p.Contains(s.client) }) {
		return s.lists
	}
	for _, f := range lists.Group.Check(ctx, v.dns(), s.client, s.domains()...) {
		v.answered(&f)
		s.lists.add(lists.Means[f.List], &f)
	}
	s.lists.settle()
	return s.lists
}

// domains are those that a sender names.
func (s *sender) domains() (all []string) {
	for _, d := range []string{s.domain(), s.helo} {
		if d = strings.ToLower(strings.TrimSuffix(d, ".")); d != "" && !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	return all
}

func (v *Verifier) answered(f *dnslist.Finding) {
	if v.Answered == nil {
		return
	}
	result := "clear"
	switch {
	case f.Err != nil:
		result = "error"
	case f.Listed():
		result = "listed"
	}
	v.Answered(f.List.String(), result)
}

// add notes what a list has said. Codes without a meaning say nothing.
func (l *listing) add(means []Meaning, f *dnslist.Finding) {
	if f.Err != nil {
		if slices.ContainsFunc(means, func(m Meaning) bool { return m.Action == Allow }) {
			l.unsure = f.List.String()
		}
		return
	}
	for _, m := range means {
		i := slices.IndexFunc(f.Codes, m.Codes.Match)
		if i < 0 {
			continue
		}
		l.listed = append(l.listed, Listed{f.List.String(), f.Codes[i], f.Subject, m.Action, strings.ReplaceAll(m.Text, "{ip}", f.Subject)})
		return
	}
}

// settle has lists that allow come first, and puts the worst of the others in front.
func (l *listing) settle() {
	if i := slices.IndexFunc(l.listed, func(found Listed) bool { return found.Action == Allow }); i >= 0 {
		l.allowed, l.listed = l.listed[i], nil
	}
	slices.SortStableFunc(l.listed, func(a, b Listed) int { return b.Action.rank() - a.Action.rank() })
}

// reply is the answer to who is kept out. While a list that may allow him does not answer he is to come again: nobody
// is refused for want of an answer that might have spoken for him.
func (l *listing) reply() *smtp.Reply {
	worst := &l.listed[0]
	text := worst.String()
	if worst.Text != "" {
		text += ": " + worst.Text
	}
	r := &smtp.Reply{Code: 554, Enhanced: "5.7.1", Text: "Not accepted: " + text}
	if l.unsure != "" {
		r = &smtp.Reply{Code: 450, Enhanced: "4.7.1", Text: fmt.Sprintf("Not accepted now: %s, and %s, which may allow it, does not answer", text, l.unsure)}
	}
	return r.Noting(slog.String("list", worst.List), slog.String("code", worst.Code.String()))
}

// Same reports whether these lists are others, asked and understood the same way.
func (l *Lists) Same(other *Lists) bool {
	mine, theirs := l.Group.Lists(), other.Group.Lists()
	return slices.EqualFunc(mine, theirs, func(a, b *dnslist.List) bool {
		return *a == *b && slices.Equal(l.Means[a], other.Means[b])
	})
}
