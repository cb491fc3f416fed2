package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/parsers/rules"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// Faults are the rules by which mail fails on purpose: those for all clients, and those that a
// test has set for its inbox. The zero value has none.
type Faults struct {
	mu    sync.Mutex
	sets  map[string]*faultSet // by inbox; "" is all
	keep  func(texts map[string]string) error
	given *faultSet // from the command line: not kept, for the next one says its own

	following *following // files of those; nil: there are none
}

// faultSet are the rules of one inbox, and how often each has struck.
type faultSet struct {
	text  string
	rules *rules.Set
	hits  map[string]uint64 // by the rule's place, "file:line"
}

// Struck is how often a rule did something.
type Struck struct {
	Rule  string // its place, "file:line"
	Times uint64
}

// Set replaces the rules for an inbox; "" is for all clients. An error says what is wrong
// with them, at which place; the old ones stay. What first, every and chance count begins anew. As whoever reaches the API can set some, they neither name files nor
// have messages saved in folders.
func (f *Faults) Set(inbox, text string) error {
	name := inbox
	if name == "" {
		name = "rules"
	}
	set, err := (&rules.Compiler{Open: closed}).Compile(rules.Source{Name: name, Text: text})
	if err != nil {
		return err
	}
	if saves := set.With("savedir"); len(saves) > 0 {
		return fmt.Errorf("%s:%d: savedir is for the rules of the command line", saves[0].File, saves[0].Line)
	}
	return f.replace(inbox, &faultSet{text: text, rules: set, hits: make(map[string]uint64)})
}

// closed opens no file.
func closed(string) (io.ReadCloser, error) {
	return nil, errors.New("files are for the rules of the command line")
}

// KeepIn has the Box keep what is set from now on, and brings back what it has kept. What is there
// already stays, and is not kept.
func (f *Faults) KeepIn(b *Box) error {
	texts, err := b.KeptRules()
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.given = f.sets[""]
	f.mu.Unlock()
	for inbox, text := range texts {
		if inbox == "" && f.given != nil {
			continue
		}
		if err := f.Set(inbox, text); err != nil {
			return fmt.Errorf("rules that were kept: %w", err)
		}
	}
	f.mu.Lock()
	f.keep = b.KeepRules
	f.mu.Unlock()
	return nil
}

// errTooManyRules bounds what tests set for their inboxes and forget.
var errTooManyRules = errors.New("too many inboxes have rules of their own")

// mostRuled is how many inboxes can have rules.
const mostRuled = 10_000

func (f *Faults) replace(inbox string, set *faultSet) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sets == nil {
		f.sets = make(map[string]*faultSet)
	}
	before := f.sets[inbox]
	if inbox == "" {
		f.following = nil // the files hold no more
	}
	switch {
	case set.rules.Len() > 0 && before == nil && len(f.sets) >= mostRuled:
		return errTooManyRules
	case set.rules.Len() > 0:
		f.sets[inbox] = set
	case before == nil:
		return nil
	default:
		delete(f.sets, inbox)
	}
	if f.keep == nil {
		return nil
	}
	texts := make(map[string]string)
	for name, one := range f.sets {
		if one != f.given {
			texts[name] = one.text
		}
	}
	return f.keep(texts)
}

// Get is the text of an inbox's rules, as Set has got it, and how often each struck.
func (f *Faults) Get(inbox string) (text string, struck []Struck) {
	f.mu.Lock()
	defer f.mu.Unlock()
	struck = []Struck{}
	set := f.sets[inbox]
	if set == nil {
		return "", struck
	}
	for rule, n := range set.hits {
		struck = append(struck, Struck{rule, n})
	}
	slices.SortFunc(struck, func(a, b Struck) int { return strings.Compare(a.Rule, b.Rule) })
	return set.text, struck
}

// none reports whether there are no rules at all.
func (f *Faults) none() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sets) == 0
}

func (f *Faults) of(inbox string) *faultSet {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sets[inbox]
}

// longestFault is how long a rule can have a client wait for one answer.
const longestFault = 4 * time.Minute

// eval asks one inbox's rules. Delays are waited for here.
func (f *Faults) eval(ctx context.Context, inbox string, p rules.Phase, facts rules.Facts) rules.Decision {
	if inbox == "" {
		f.reread(time.Now())
	}
	set := f.of(inbox)
	if set == nil {
		return rules.Decision{}
	}
	d := set.rules.Eval(p, facts)
	f.count(set, &d)
	if d.Delay > 0 {
		t := time.NewTimer(min(d.Delay, longestFault))
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	return d
}

// count notes every rule that did something.
func (f *Faults) count(set *faultSet, d *rules.Decision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	struck := func(at config.Position) {
		if at.Line != 0 {
			set.hits[fmt.Sprintf("%s:%d", at.File, at.Line)]++
		}
	}
	struck(d.Rule)
	struck(d.Greylist.Rule)
	for _, at := range d.Delayed {
		struck(at)
	}
	for _, tag := range d.Tags {
		struck(tag.Rule)
	}
}

// refusal is the answer that a decision has for the client; nil if it refuses nothing.
func refusal(d rules.Decision) *smtp.Reply {
	switch {
	case !d.Refuses():
		return nil
	case d.Action == rules.Drop:
		return (&smtp.Reply{Code: 421, Enhanced: "4.7.0", Text: "The connection is closed without a word"}).Unsaid()
	}
	return &smtp.Reply{Code: d.Reply.Code, Enhanced: d.Reply.Enhanced, Text: d.Reply.Text}
}

// fail asks the rules of all and of these inboxes, in this order, until one decides or has the client come again. What those before it
// have set and put on top stays. The error is what the client is refused with.
func (r *receiver) fail(ctx context.Context, s *smtp.Session, p rules.Phase, facts rules.Facts, inboxes ...string) (all rules.Decision, refused error) {
	for _, inbox := range append([]string{""}, inboxes...) {
		d := r.Faults.eval(ctx, inbox, p, facts)
		r.noted(s, &d)
		d.Tags = append(all.Tags, d.Tags...)
		all = d
		if d.Greylist.Rule.Line != 0 {
			if later := r.later(s, facts, d.Greylist); later != nil {
				return d, later
			}
		}
		if d.Action != rules.None {
			break
		}
	}
	if reply := refusal(all); reply != nil {
		return all, reply
	}
	return all, nil
}

// factsOf are those of a session at this moment.
func (r *receiver) factsOf(s *smtp.Session) *rules.Case {
	c := &rules.Case{Addrs: make(map[rules.Fact]netip.Addr), Text: make(map[rules.Fact][]string), Said: make(map[rules.Fact]string), Numbers: make(map[rules.Fact]int64), Now: time.Now()}
	c.Addrs[rules.IP], _ = lineserver.IP(s.RemoteAddr)
	c.Addrs[rules.LocalIP], _ = lineserver.IP(s.LocalAddr)
	if s.Helo != "" {
		c.Text[rules.Helo] = []string{s.Helo}
	}
	c.Text[rules.User] = nil
	if s.User != "" {
		c.Text[rules.User] = []string{loginAddress(s.User)}
	}
	c.Said[rules.TLS] = "off"
	if s.TLS != nil {
		c.Said[rules.TLS] = "on"
	}
	return c
}

// loginAddress is a login as rules name users: one without a domain is at that of the inboxes that are made.
func loginAddress(user string) string {
	if strings.Contains(user, "@") {
		return string(domains.CanonicalAddress(user))
	}
	return folded(user) + "@" + madeDomain
}

// withEnvelope adds what MAIL and RCPT have said; to is the recipient of the moment.
func withEnvelope(c *rules.Case, from smtp.Path, accepted []smtp.Recipient, to *smtp.Path, size int64) *rules.Case {
	canonical := func(p smtp.Path) string { return string(domains.CanonicalAddress(p.String())) }
	c.Text[rules.From] = []string{canonical(from)}
	n := len(accepted)
	switch {
	case to != nil:
		c.Text[rules.To] = []string{canonical(*to)}
		n++
	case n > 0:
		for _, t := range accepted {
			c.Text[rules.To] = append(c.Text[rules.To], canonical(t.Path))
		}
	}
	if n > 0 {
		c.Numbers[rules.Rcpts] = int64(n)
	}
	if size > 0 {
		c.Numbers[rules.Size] = size
	}
	return c
}

// withMessage adds what the header says.
func withMessage(c *rules.Case, raw []byte) *rules.Case {
	c.Numbers[rules.Size] = int64(len(raw))
	c.Fields = make(map[string][]string)
	read, err := rfc2822.ReadString(string(raw))
	if err != nil {
		return c
	}
	for f := range read.Header.All() {
		name := strings.ToLower(f.Name())
		c.Fields[name] = append(c.Fields[name], f.Text())
	}
	list, _ := rfc2822.ReadAddressList(read.Header.Get("From"))
	c.Text[rules.Author] = []string{}
	for _, a := range list {
		c.Text[rules.Author] = append(c.Text[rules.Author], string(domains.CanonicalAddress(a.Addr())))
	}
	return c
}
