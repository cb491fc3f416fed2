package rules

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

// The model: conditions are made together with what they come to, and rules are gone
// through as the manual says, in a way that has nothing in common with how a Set does it.

// condition makes one of at most so many levels, with its words and its truth.
func condition(r *rand.Rand, depth int) (string, truth) {
	if depth == 0 || r.IntN(3) == 0 {
		atoms := []struct {
			text string
			is   truth
		}{{"all", yes}, {"from ann@", yes}, {"from bob@", no}, {"user @", unknown}, {"ip 192.0.2.0/24", yes}, {"not all", no}, {"host x.example", no}, {"not tls on", unknown}}
		a := atoms[r.IntN(len(atoms))]
		return a.text, a.is
	}
	switch r.IntN(4) {
	case 0: // together, in parentheses
		a, ta := condition(r, depth-1)
		b, tb := condition(r, depth-1)
		return "(" + a + " " + b + ")", min3(ta, tb)
	case 1: // one of them, in parentheses
		a, ta := condition(r, depth-1)
		b, tb := condition(r, depth-1)
		return "( " + a + " or " + b + " )", negate(min3(negate(ta), negate(tb)))
	case 2:
		a, ta := condition(r, depth-1)
		return "not (" + a + ")", negate(ta)
	}
	// Without parentheses: "or" binds tighter.
	a, ta := condition(r, 0)
	b, tb := condition(r, 0)
	c, tc := condition(r, 0)
	return "(" + a + " " + b + " or " + c + ")", min3(ta, negate(min3(negate(tb), negate(tc))))
}

// min3 is "and" of three values.
func min3(a, b truth) truth {
	switch {
	case a == no || b == no:
		return no
	case a == unknown || b == unknown:
		return unknown
	}
	return yes
}

// modelRule is a rule as the model has it.
type modelRule struct {
	phase   int // -1: none
	action  Action
	clauses []truth
	line    int
}

func TestModel(t *testing.T) {
	facts := &Case{
		Addrs: map[Fact]netip.Addr{IP: netip.MustParseAddr("192.0.2.7")},
		Text:  map[Fact][]string{From: {"ann@a.example"}, Host: {"y.example"}},
	}
	r := rand.New(rand.NewPCG(15, 1))
	actions := []Action{Accept, Reject, Stall, SetWith, Drop}
	for round := range 3000 {
		var text strings.Builder
		var model []modelRule
		line := 1
		for range 1 + r.IntN(6) {
			m := modelRule{phase: -1, action: actions[r.IntN(len(actions))], line: line}
			if r.IntN(3) == 0 {
				m.phase = int(AtFrom) + r.IntN(int(phases-AtFrom)) // where all that is asked for can be known
				fmt.Fprintf(&text, "@%s ", Phase(m.phase))
			}
			text.WriteString(m.action.String())
			for i := range 1 + r.IntN(3) {
				if i > 0 {
					text.WriteString(";")
				}
				c, is := condition(r, 3)
				m.clauses = append(m.clauses, is)
				fmt.Fprintf(&text, " from @ %s", c) // so that each clause begins at MAIL
				if m.action == SetWith {
					fmt.Fprintf(&text, " with note n%d-%d", line, i)
				}
			}
			text.WriteString("\n")
			model = append(model, m)
			line++
		}
		s, err := Parse("m", text.String())
		if err != nil {
			t.Fatalf("round %d: %s\n%v", round, text.String(), err)
		}
		memory := &remembering{Facts: facts}
		for p := AtFrom; p < phases; p++ {
			want, at, note := None, 0, ""
			for _, m := range model {
				if m.phase >= 0 && m.phase != int(p) || want != None {
					continue
				}
				for i, is := range m.clauses {
					if is != yes {
						continue
					}
					if m.action == SetWith {
						note = fmt.Sprintf("n%d-%d", m.line, i)
					} else {
						want, at = m.action, m.line
					}
					break
				}
			}
			d := s.Eval(p, facts)
			if d.Action != want || d.Rule.Line != at || d.Note != note {
				t.Fatalf("round %d at %v: %v by %d, note %q; the model: %v by %d, note %q\n%s", round, p, d.Action, d.Rule.Line, d.Note, want, at, note, text.String())
			}
			if d := s.Eval(p, memory); d.Action != want || d.Rule.Line != at || d.Note != note {
				t.Fatalf("round %d at %v, with a memory: %v by %d, note %q; the model: %v by %d, note %q\n%s", round, p, d.Action, d.Rule.Line, d.Note, want, at, note, text.String())
			}
			explained, _ := s.Explain(p, facts)
			if explained.Action != d.Action || explained.Rule != d.Rule {
				t.Fatalf("round %d: Explain says %v by %v", round, explained.Action, explained.Rule)
			}
		}
		formatted, err := Format("m", text.String())
		if err != nil {
			t.Fatal(err)
		}
		same, err := Parse("m", formatted)
		if err != nil || same.Len() != s.Len() {
			t.Fatalf("formatted: %v\n%s", err, formatted)
		}
		for i := range same.rules {
			for j, c := range same.rules[i].clauses {
				if c.text != s.rules[i].clauses[j].text {
					t.Fatalf("formatted, %q is %q", s.rules[i].clauses[j].text, c.text)
				}
			}
		}
	}
}

// remembering are facts with a memory, and how often they were asked.
type remembering struct {
	Facts
	memory Memory
	asked  int
}

func (r *remembering) Memory() *Memory { return &r.memory }

func (r *remembering) Texts(f Fact, name string) ([]string, bool) {
	r.asked++
	return r.Facts.Texts(f, name)
}

// TestMemory: what cannot become true any more is not asked again, until the next transaction; what can is.
func TestMemory(t *testing.T) {
	for text, once := range map[string]bool{
		"reject from bob@ size >1": true, "reject not from ann@ host x.example": true, "reject (from bob@ or helo x.example)": true, "reject not (from ann@ all)": true,
		"reject from bob@ or to bob@": false, "reject user bob@": false, "reject header a b or from x@": false,
	} {
		c := &Case{Text: map[Fact][]string{From: {"ann@a.example"}, Helo: {"y.example"}, To: {"cid@c.example"}}, Said: map[Fact]string{TLS: "off"}}
		r, s := &remembering{Facts: c}, parse(t, text)
		for p := AtFrom; p < phases; p++ {
			s.Eval(p, r)
		}
		if again := r.asked; once != (again <= 4+1) { // AtFrom and AtTo ask whether the sender is the null one
			t.Errorf("%s: asked %d times", text, again)
		}
	}
	c := &Case{Text: map[Fact][]string{From: {"ann@a.example"}}}
	r, s := &remembering{Facts: c}, parse(t, "reject user bob@; from bob@")
	s.Eval(AtFrom, r)
	c.Text[User] = []string{"bob@b.example"} // it was not known
	if d := s.Eval(AtTo, r); d.Action != Reject {
		t.Error("what was not known is taken for known", d.Action)
	}
	c.Text = map[Fact][]string{From: {"bob@b.example"}, User: nil}
	if d := s.Eval(AtTo, r); d.Action != None {
		t.Error(d.Action)
	}
	if r.memory.Forget(); s.Eval(AtFrom, r).Action != Reject {
		t.Error("the next transaction is taken for the one before")
	}
	if d := parse(t, "accept all; all; all").Eval(AtFrom, r); d.Action != Accept { // another Set
		t.Error(d.Action)
	}
	var many strings.Builder // more than one word of bits
	for i := range 130 {
		fmt.Fprintf(&many, "reject from x%d@\n", i)
	}
	c.Text[From] = []string{"x64@a.example"}
	r.memory.Forget()
	s = parse(t, many.String())
	for range 2 {
		if d := s.Eval(AtTo, r); d.Rule.Line != 65 {
			t.Error(d.Rule)
		}
	}
	for i := range 130 {
		if s.memory(r).knows(s.rules[i].clauses[0]) != (i < 64) {
			t.Error(i)
		}
	}
}

// FuzzParse: whatever stands in a file, it is read or refused with places, and what was read can be
// evaluated, formatted and read again.
func FuzzParse(f *testing.F) {
	for _, text := range []string{Standard, "reject all", "@to stall (from a@b or not to @.c.example) with message \"x\\\"\ny\" note z ; all\n# c\nreject ip 10.0.0.0/8 \\\n  first 3\ntag \"X: y\" time 1:00-2:00", "include x\nreject from ./x", "delay 3s chance 20% seed 3", "@to stall not rate net+user >=2/10m first 2 with make-yakker\ngreylist rate all <5/d; dns nodns", "reply \"450 4.7.1 x\" size >1MB header a *b?", "\xff\x00\"\\", "reject all\\\nx"} {
		f.Add(text)
	}
	c := files(map[string]string{"x": "reject from ./x\n@a.example\nstall all"})
	f.Fuzz(func(t *testing.T, text string) {
		formatted, err := Format("f", text)
		if err == nil {
			if again, err := Format("f", formatted); err != nil || again != formatted {
				t.Fatalf("%q formatted is %q, and again %q (%v)", text, formatted, again, err)
			}
		}
		s, bad := c.Compile(Source{Name: "f", Text: text})
		if bad != nil {
			if !strings.Contains(bad.Error(), ":") {
				t.Fatal(bad)
			}
			return
		}
		if err != nil {
			t.Fatalf("%q is read and cannot be formatted: %v", text, err)
		}
		same, err := c.Compile(Source{Name: "f", Text: formatted})
		if err != nil || same.Len() != s.Len() {
			t.Fatalf("%q formatted is %q: %v", text, formatted, err)
		}
		for p := range phases {
			a, b := s.Eval(p, known()), same.Eval(p, known())
			if a.Action != b.Action && !strings.Contains(text, "chance") {
				t.Fatalf("%q: %v, formatted %v", text, a.Action, b.Action)
			}
			s.Explain(p, &Case{})
		}
	})
}
