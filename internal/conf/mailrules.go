package conf

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/rules"
)

// Rule is one rule about mail that comes in. A string instead of the object is the
// rule as it stands in a file of rules.
type Rule struct {
	// The whole rule, as in a file of rules: "reject from @spam.example". It may be one
	// that includes such a file: "include mail.rules".
	Rule string `json:"rule"`

	// In place of "rule", its parts. The phase: "connect", "helo", "from", "to", "data",
	// "header", "message"; empty means all in which it makes sense.
	At string `json:"at"`

	// What is done: "reject", "tag \"X-Rule: yes\"" and so on.
	Do string `json:"do"`

	// When it is done.
	If string `json:"if"`

	// Options: "message", "note", "mailbox".
	With map[string]string `json:"with"`
}

// UnmarshalText takes a string in place of an object for the whole rule.
func (r *Rule) UnmarshalText(text []byte) error {
	*r = Rule{Rule: string(text)}
	return nil
}

// text is the rule as it would stand in a file.
func (r Rule) text() (string, error) {
	parts := r.At != "" || r.Do != "" || r.If != "" || len(r.With) > 0
	switch {
	case r.Rule != "" && parts:
		return "", errors.New(`"rule" is the whole rule; "at", "do", "if" and "with" stand in its place`)
	case !parts:
		return r.Rule, nil
	case r.Do == "":
		return "", errors.New(`"do" is missing: what is done`)
	case strings.Contains(r.At+r.Do+r.If, "\n"):
		return "", errors.New("each rule is one of its own")
	}
	text := r.Do + " " + r.If
	if r.At != "" {
		text = "@" + strings.TrimPrefix(r.At, "@") + " " + text
	}
	for i, option := range slices.Sorted(maps.Keys(r.With)) {
		if i == 0 {
			text += " with"
		}
		text += " " + option + " \"" + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(r.With[option]) + "\""
	}
	return text, nil
}

// MailRules compiles Rules, and reads the files that they name, once: Rules is not to change
// afterwards. The error is a config.Errors: all that is wrong with them. Its first call is not
// safe beside another.
func (s *Settings) MailRules() (*rules.Set, error) {
	if s.compiled != nil {
		return s.compiled, nil
	}
	sources := make([]rules.Source, 0, len(s.Rules))
	var bad config.Errors
	for i, r := range s.Rules {
		text, err := r.text()
		if err != nil {
			bad = append(bad, s.text().Errorf(at("Rules", i), "%s: %w", config.Path("Rules", i), err))
			continue
		}
		source := rules.Source{Text: text, Line: 1}
		if place, ok := s.text().Where("Rules", i); ok {
			source.Name, source.Line, source.Col = place.File, place.Line, place.Col
			if s.text().Scalar("Rules", i) {
				source.Col++ // behind the quote
			}
		}
		sources = append(sources, source)
	}
	set, err := (&rules.Compiler{}).Compile(sources...)
	var wrong config.Errors
	if errors.As(err, &wrong) {
		bad = append(bad, wrong...)
	}
	if err := bad.ErrOrNil(); err != nil {
		return nil, err
	}
	s.compiled = set
	return set, nil
}

// mailRules checks Rules.
func (c *checker) mailRules() {
	set, err := c.MailRules()
	for _, err := range list(err) {
		if e, ok := err.(*config.Error); ok {
			c.errs = append(c.errs, problem{is: e})
		}
	}
	if set == nil {
		return
	}
	for _, p := range set.Places() {
		var why error
		switch _, here := c.book.Accounts[domains.Address(p.Mailbox)]; {
		case p.Mailbox == "" && c.Verify.Quarantine != "":
		case p.Mailbox == "":
			why = errors.New(`nothing says where the message is put: neither Verify.quarantine does, nor "with mailbox junk@example.com" behind the rule, nor "set-with all with mailbox junk@example.com" before it`)
		case !here:
			why = fmt.Errorf("there is no account %s%s", p.Mailbox, c.didYouMean(domains.Address(p.Mailbox)))
		}
		if why != nil {
			c.errs = append(c.errs, problem{is: &config.Error{Name: p.Rule.File, Line: p.Rule.Line, Col: p.Rule.Col, Err: why}})
		}
	}
}

// adviseRules tells what is hardly meant.
func (c *checker) adviseRules() {
	set, err := c.MailRules()
	if err != nil {
		return
	}
	for _, w := range append(set.Warnings(), IdleOptions(set)...) {
		c.errs = append(c.errs, problem{is: w})
	}
}

// idle are options of rules that a server has no use for, with the reason.
var idle = []struct{ option, why string }{
	{"savedir", `"savedir" is for "postrider sink": a server keeps mail in mailboxes alone, sealed and within their bounds; "redirect" and "quarantine" put it into one`},
	{"make-yakker", `"make-yakker" is for "postrider sink": who only talks is slowed down and cut off here by himself; "drop" and "delay" are for those whom a rule knows`},
}

// IdleOptions tells which options of rules do nothing in a server.
func IdleOptions(set *rules.Set) (all []*config.Error) {
	for _, o := range idle {
		for _, p := range set.With(o.option) {
			all = append(all, &config.Error{Name: p.File, Line: p.Line, Col: p.Col, Err: errors.New(o.why)})
		}
	}
	return all
}
