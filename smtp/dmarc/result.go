package dmarc

import "fmt"

// Result is what an evaluation comes to (RFC 9989 §5.3; RFC 8601 for the names).
type Result uint8

// The results.
const (
	None      Result = iota // the domain has no policy
	Pass                    // SPF or DKIM passes for the domain or its organization
	Fail                    // neither does
	TempError               // the DNS did not answer: try again later
	PermError               // the message shows no domain that can be judged
)

var resultNames = [...]string{"none", "pass", "fail", "temperror", "permerror"}

// String is the result's name in lower case, such as "pass".
func (r Result) String() string {
	if int(r) < len(resultNames) {
		return resultNames[r]
	}
	return fmt.Sprintf("Result(%d)", uint8(r))
}

// Passed is what is known of a message's sender. No domain in it is believed that did
// not pass.
type Passed struct {
	SPF  string   // the domain that SPF says pass of; "" if of none
	DKIM []string // the domains (d=) whose signatures are good
}

// Alignment says whether a method speaks for the author's domain.
type Alignment struct {
	Aligned bool
	Domain  string // which one of Passed does; "" if none
}

// Outcome is what an evaluation comes to.
type Outcome struct {
	Result Result
	Domain string // the author's, that was judged; "" if there is none

	// Policy is what the domain asks for if the message fails, test mode taken into
	// account; "" if there is no record. With several authors it is the strictest of
	// theirs. Of a name that passes it is not asked whether it exists: sp stands for np.
	Policy Policy
	// Tested: the Policy is one step less than the record says, for it is in test mode (t=y).
	Tested       bool
	Record       *Record // nil if there is none
	RecordDomain string  // where it was found: the domain itself, its organization or a public suffix

	// Organization is the author's organizational domain, as far as it had to be
	// known: where nothing had to be compared with it, it is the domain itself if it
	// has a record of its own.
	Organization string

	SPF, DKIM Alignment
	Err       error    // why the result is none, temperror or permerror; nil otherwise
	Queries   []string // the names that were asked for, in order, without the dot at the end
}

// Disposition is what the author's domain asks to be done with the message: Nothing
// unless the result is fail.
func (o Outcome) Disposition() Policy {
	if o.Result == Fail {
		return o.Policy
	}
	return Nothing
}
