package smtp

import (
	"strings"
	"time"
)

// Params are the parameters of MAIL. The zero value means none were given.
type Params struct {
	Size       int64  // SIZE=, octets announced (RFC 1870); 0 if not
	Body       Body   // BODY= (RFC 6152, RFC 3030); "" if not given
	SMTPUTF8   bool   // RFC 6531
	RequireTLS bool   // REQUIRETLS (RFC 8689)
	Ret        Ret    // RET= (RFC 3461 §4.3); "" if not given
	EnvID      string // ENVID=, decoded from xtext (RFC 3461 §4.4)
	// Auth is AUTH= (RFC 4954 §5) decoded: who submitted the message first,
	// "<>" if that is not known or the client is not trusted to say, "" if the
	// parameter was not given. Only an authenticated client is trusted.
	Auth string
	// HoldUntil is HOLDUNTIL=, or HOLDFOR= counted from now (RFC 4865); zero
	// for at once.
	HoldUntil time.Time
	By        *DeliverBy // BY= (RFC 2852); nil if not given
	Priority  int        // MT-PRIORITY=, -9 to 9 (RFC 6710); 0 is also "not given"
}

// Body is what a message was declared to be: the value of BODY.
type Body string

// The values of BODY. None given means Body7Bit.
const (
	Body7Bit       Body = "7BIT"
	Body8BitMIME   Body = "8BITMIME"   // RFC 6152
	BodyBinaryMIME Body = "BINARYMIME" // RFC 3030
)

// Ret is how much of a message a report of failure is to bring back: the value
// of RET.
type Ret string

// The values of RET. None given leaves it to the server that reports.
const (
	RetFull    Ret = "FULL"
	RetHeaders Ret = "HDRS"
)

// DeliverBy is the BY= parameter (RFC 2852 §4).
type DeliverBy struct {
	By     time.Time // the deadline
	Return bool      // mode R: return to sender at the deadline; otherwise N: notify
	Trace  bool      // T: say so at each hop
}

// String is the deadline and the mode: "2026-01-02T15:04:05Z;RT".
func (b *DeliverBy) String() string {
	if b == nil {
		return ""
	}
	return b.By.UTC().Format(time.RFC3339) + ";" + b.mode()
}

func (b *DeliverBy) mode() string {
	mode := "N"
	if b.Return {
		mode = "R"
	}
	if b.Trace {
		mode += "T"
	}
	return mode
}

// Notify is when a recipient's sender wants to hear (RFC 3461 §4.1).
type Notify uint8

// The events of Notify; zero means the parameter was not given.
const (
	NotifySuccess Notify = 1 << iota
	NotifyFailure
	NotifyDelay
	NotifyNever // alone
)

// String is the parameter's value: "SUCCESS,DELAY"; empty if it was not given.
func (n Notify) String() string {
	if n&NotifyNever != 0 {
		return "NEVER"
	}
	var names []string
	for i, name := range []string{"SUCCESS", "FAILURE", "DELAY"} {
		if n&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// Wants reports whether a report of one event is to be sent. Where nothing was
// asked for, failure and delay are news.
func (n Notify) Wants(event Notify) bool {
	if n == 0 {
		n = NotifyFailure | NotifyDelay
	}
	return n&NotifyNever == 0 && n&event != 0
}

// RcptParams are the parameters of RCPT.
type RcptParams struct {
	Notify Notify // NOTIFY=
	// ORcptType and ORcpt are ORCPT=: the address type ("rfc822", "utf-8") and
	// the original recipient, decoded (RFC 3461 §4.2, RFC 6533 §3).
	ORcptType, ORcpt string
	// RRVS is RRVS= (RFC 7293): deliver only if the mailbox belonged to its
	// owner already then; zero if not given. Reject is its action: R (reject)
	// rather than C (continue).
	RRVS       time.Time
	RRVSReject bool
}
