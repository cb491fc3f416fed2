package dkim

import "time"

// Status is the result of one signature, in the words of RFC 8601 §2.7.1.
type Status string

// What became of a signature.
const (
	None      Status = "none"      // the message has no signature; no Result says so
	Pass      Status = "pass"      // it is good
	Fail      Status = "fail"      // message or signature were changed, or another key signed it
	Policy    Status = "policy"    // it may be good, but is nothing to rely on
	Neutral   Status = "neutral"   // it failed, and the key is only being tested (t=y)
	TempError Status = "temperror" // its key could not be had now
	PermError Status = "permerror" // it cannot be checked, now or later
)

// Reason says in a few words why a signature did not pass. It is one of a fixed set of
// texts, printable ASCII without quotes, brackets and semicolons: fit for a log, for
// the label of a counter and for Authentication-Results. Nothing of it comes from the message.
type Reason string

// Result is what was found out about one DKIM-Signature field. What comes from the message
// in it is checked: no string has control characters.
type Result struct {
	// Status is empty as long as the body has not passed.
	Status Status
	// Reason is why Status is not Pass.
	Reason Reason

	// Domain is d=, who signed, in lower-case A-labels; empty if it cannot be read.
	Domain string
	// Selector is s=, in lower-case A-labels.
	Selector string
	// Identity is i=, for whom it was signed, decoded; "@" and Domain if there is none.
	// Its domain is Domain or below it. The part before the @ may be any text.
	Identity string
	// Algorithm is a=: "rsa-sha256" or "ed25519-sha256", or empty.
	Algorithm string
	// Bits is the size of the key: for RSA of its modulus, for ed25519 256; 0 if
	// there was no key.
	Bits int
	// Testing says that the domain is only trying DKIM out (t=y in its key record).
	Testing bool
	// Signature is the beginning of b=, at most 12 characters of base64. It tells signatures
	// of one domain apart (RFC 6008).
	Signature string
	// Time and Expires are t= and x=, or zero.
	Time, Expires time.Time
	// Body says that the body is the one whose hash is in the signature. It is known without a
	// key too; alone it proves nothing, as everybody can make the hash.
	Body bool
}

// outcome is a status and its reason. The zero value: nothing is wrong so far.
type outcome struct {
	status Status
	reason Reason
}

func permanent(r Reason) outcome { return outcome{PermError, r} }
