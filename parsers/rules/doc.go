// Package rules is a small language that says what is done with mail: what is refused, marked, slowed
// down, put aside, or broken on purpose.
//
//	# who may always, and who never
//	accept ip 192.0.2.0/24
//	reject from @spam.example or from ./forgers with message "We do not want this"
//	@to stall to bob@ not user @ with note "bob is moving"
//	tag "X-Suspicious: no reverse name" dns nodns
//	quarantine dmarc fail header subject *invoice*
//
// A rule is an action and what must be true. It has a line of its own, on which may stand before it the phase
// at which it is looked at; a rule that names none is looked at in every phase in which something
// is known of all that it asks for. In each phase the first rule that is true decides, in the
// order in which they stand; accept, too, ends the phase. The actions tag, delay and set-with do not decide: rules after them go on.
//
// Conditions that stand side by side must all be true; "or" between two of them binds tighter, and "not"
// tighter still. Behind ";" another condition follows, with options of its own, under which the same
// is done: the first that is true counts. README.md has the whole language.
//
// A Set is made once, by Parse or a Compiler, and evaluated by Eval for each phase of a session against Facts. This package
// knows no SMTP server: it is asked, and answers with a Decision. What is not known of a message makes
// a condition neither true nor false, and so its opposite; the rule is evaluated all the same,
// and true if what is known suffices.
package rules
