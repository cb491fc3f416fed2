package rules

import (
	"slices"
	"time"

	"github.com/postrider-mail/postrider/parsers/config"
)

// Set is rules, ready to be evaluated. It does not change, but for what "first", "every", "chance" and
// "rate" count, and may be used concurrently.
type Set struct {
	rules    []*rule
	at       [phases][]*rule // those with a clause for a phase
	warnings config.Errors
	clauses  int // in all
	places   []Place
	tags     []Field

	setsMailbox bool // a set-with without a condition names the mailbox of every quarantine
	files       []string
}

// rule is one action and the conditions under which it happens.
type rule struct {
	action  Action
	reply   Reply // of Answer
	tag     Field
	delay   time.Duration
	clauses []*clause
}

// clause is one of the conditions, of which the first that is true counts.
type clause struct {
	at       config.Position
	first    Phase
	last     Phase
	terms    []term
	counters []counted
	with     Options
	text     string // as it is written, with single blanks
	never    bool   // a pattern file of it is missing or empty
	number   int    // among all clauses
}

// counted is a tally with how it is written.
type counted struct {
	tally
	text string
}

// term is one of the conditions that must be true together.
type term struct {
	node
	text    string // as it is written, with single blanks
	settled Phase  // from which on it stays what it is
}

// Len is the number of rules.
func (s *Set) Len() int { return len(s.rules) }

// Files are the names of the files that were read, in order: those of rules, included ones, and patterns, also
// such that are missing. Who wants to see that rules have changed looks at these.
func (s *Set) Files() []string { return s.files }

// Place is a mailbox where a decision may put a message.
type Place struct {
	Mailbox string          // empty: of a quarantine, where nothing names one
	Rule    config.Position // the first that does so
}

// Places are all of them. The slice is not to be changed.
func (s *Set) Places() []Place { return s.places }

func (s *Set) findPlaces() (all []Place) {
	add := func(mailbox string, rule config.Position) {
		if !slices.ContainsFunc(all, func(p Place) bool { return p.Mailbox == mailbox }) {
			all = append(all, Place{mailbox, rule})
		}
	}
	for _, r := range s.rules {
		for _, c := range r.clauses {
			if c.with.Mailbox != "" || r.action == Quarantine && !s.setsMailbox {
				add(c.with.Mailbox, c.at)
			}
		}
	}
	return all
}

// With is where rules stand that have an option, such as "savedir": a program tells of those that it has no use for.
func (s *Set) With(option string) (all []config.Position) {
	for _, r := range s.rules {
		for _, c := range r.clauses {
			if c.with.has(option) {
				all = append(all, c.at)
			}
		}
	}
	return all
}

// Tags are all fields that rules may put on top of a message. The slice is not to be changed.
func (s *Set) Tags() []Field { return s.tags }

func (s *Set) findTags() (all []Field) {
	for _, r := range s.rules {
		if r.action == Tag {
			all = append(all, r.tag)
		}
	}
	return all
}

// Warnings are what is not wrong, but hardly meant: each a *config.Error.
func (s *Set) Warnings() []*config.Error { return s.warnings }

// Eval says what the rules make of the facts in a phase: the first that decides, with what those before it
// set. It is to be called once for each phase of a transaction, and at AtTo for each recipient.
//
// What is decided at AtFrom of the null sender is said at AtTo: a MAIL FROM:<> is never
// refused, as other hosts ask by it whether an address is there.
func (s *Set) Eval(p Phase, f Facts) Decision { return s.eval(p, f, false, nil) }

// eval is Eval. With peek nothing is counted; look, if not nil, sees every clause that is asked.
func (s *Set) eval(p Phase, f Facts, peek bool, look func(*rule, *clause, bool)) Decision {
	var d Decision
	if p >= phases {
		return d
	}
	var m *Memory
	if look == nil {
		m = s.memory(f)
	}
	null := false
	if p == AtFrom || p == AtTo {
		senders, known := f.Texts(From, "")
		null = known && len(senders) == 1 && senders[0] == ""
	}
	if null && p == AtFrom {
		return d
	}
	var set Options
	if null {
		s.pass(AtFrom, true, f, peek, look, m, &d, &set)
		if d.Refuses() {
			return d
		}
		d.Action, d.Rule, d.Reply = None, config.Position{}, Reply{}
	}
	s.pass(p, false, f, peek, look, m, &d, &set)
	if d.Refuses() { // nobody is told to come again to be refused
		d.Greylist = Again{}
	}
	if d.Action == None {
		d.Options = set
	}
	return d
}

// pass evaluates the rules of a phase; with early those that are for MAIL alone.
func (s *Set) pass(p Phase, early bool, f Facts, peek bool, look func(*rule, *clause, bool), m *Memory, d *Decision, set *Options) {
	var over reached
	for _, r := range s.at[p] {
		c := r.matching(p, early, f, peek, look, m, &over)
		if c == nil {
			continue
		}
		switch r.action {
		case SetWith:
			*set = c.with.over(*set)
		case Tag:
			tag := r.tag
			tag.Rule = c.at
			d.Tags = append(d.Tags, tag)
		case Delay:
			d.Delay += r.delay
			d.Delayed = append(d.Delayed, c.at)
		case Greylist:
			if d.Greylist.Rule.Line == 0 {
				with := c.with.over(*set)
				d.Greylist = Again{c.at, with.Message, with.Note}
			}
		default:
			d.Action, d.Rule = r.action, c.at
			d.Options = c.with.over(*set)
			d.Reply = r.replyOf(p, d.Options.Message, over)
			return
		}
	}
}

// matching is the first clause that is true.
func (r *rule) matching(p Phase, early bool, f Facts, peek bool, look func(*rule, *clause, bool), m *Memory, over *reached) *clause {
	for _, c := range r.clauses {
		if p < c.first || p > c.last || early && c.last != AtFrom || c.never || m.knows(c) {
			continue
		}
		holds := c.holds(p, f, peek, m, over)
		if look != nil {
			look(r, c, holds)
		}
		if holds {
			return c
		}
	}
	return nil
}

// holds reports whether all of it is true, and over, which rate was reached. What counts is asked last.
func (c *clause) holds(p Phase, f Facts, peek bool, m *Memory, over *reached) bool {
	for i := range c.terms {
		t := &c.terms[i]
		if is := t.eval(f); is != yes {
			if is == no && t.settled <= p {
				m.note(c)
			}
			return false
		}
	}
	*over = reached{}
	for _, n := range c.counters {
		holds, met := n.count(f, peek)
		if !holds {
			return false
		}
		if met.rate != nil {
			*over = met
		}
	}
	return true
}
