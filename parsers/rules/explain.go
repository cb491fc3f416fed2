package rules

import "github.com/postrider-mail/postrider/parsers/config"

// Step is one clause that was looked at, and what came of it.
type Step struct {
	Rule   config.Position
	Action Action
	Text   string // the clause as it is written
	Holds  bool
	Terms  []Term // those that were asked, up to the first that decided
}

// Term is one condition of a clause and what came of it: "yes", "no" or "unknown".
type Term struct{ Text, Result string }

// Explain is Eval, with every step to its decision. Nothing is counted: "first", "every" and "chance" say what they
// would say to the next one.
func (s *Set) Explain(p Phase, f Facts) (Decision, []Step) {
	var steps []Step
	d := s.eval(p, f, true, func(r *rule, c *clause, holds bool) {
		steps = append(steps, Step{Rule: c.at, Action: r.action, Text: c.text, Holds: holds, Terms: c.explain(f)})
	})
	return d, steps
}

func (c *clause) explain(f Facts) (all []Term) {
	for _, t := range c.terms {
		result := t.eval(f)
		all = append(all, Term{t.text, result.String()})
		if result != yes {
			return all
		}
	}
	for _, n := range c.counters {
		result := n.eval(f)
		all = append(all, Term{n.text, result.String()})
		if result != yes {
			return all
		}
	}
	return all
}
