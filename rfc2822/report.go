package rfc2822

import (
	"io"
	"time"
)

// Action says what became of a recipient's copy (RFC 3464 §2.3.3).
type Action string

// The actions of RFC 3464.
const (
	Failed    Action = "failed"
	Delayed   Action = "delayed"
	Delivered Action = "delivered"
	Relayed   Action = "relayed"
	Expanded  Action = "expanded"
)

// Return says how much of the original message a report carries (RFC 3461 §4.3, RET).
type Return uint8

// What a report returns of the original.
const (
	ReturnHeaders Return = iota // the header section, as text/rfc822-headers; of a long one the lines within its first 16 KiB
	ReturnFull                  // all of it, as message/rfc822
	ReturnNothing
)

// Report is a delivery status notification: multipart/report with a text for
// people, a message/delivery-status part for programs (RFC 3464), and what is
// returned of the original message. It is sent from the null sender.
type Report struct {
	From      string    // the From field; "" writes Mail Delivery System <postmaster@ReportingMTA>
	To        string    // the To field: the original's envelope sender
	Subject   string    // "" writes one that fits the actions
	MessageID string    // "": WriteTo makes one and puts it here
	Date      time.Time // zero: WriteTo puts the present time here

	ReportingMTA       string // the host that reports
	OriginalEnvelopeID string // ENVID, decoded, or ""
	ReceivedFromMTA    string // the host the message came from, or ""
	ArrivalDate        time.Time
	Recipients         []RecipientStatus

	// Text is for people, UTF-8 with LF or CRLF. "" writes one from Recipients.
	Text string

	// Original is the message reported on, from its first octet, as it is
	// stored; nil returns nothing. It is streamed. If it is an io.Seeker it is
	// looked through first, so that the report says truly whether it has 8-bit data.
	Original io.Reader
	Return   Return

	// Returned is the header section of the original as ParseReport found it, or
	// nil. WriteTo does not look at it.
	Returned *Section

	// SevenBit: the way back does not carry 8-bit data. An original with such
	// octets, or one that cannot be looked through, is then returned as header
	// section only, in an encoding.
	SevenBit bool
	// UTF8: the way back carries SMTPUTF8, so addresses stand as they are
	// (RFC 6533). Without it those that are not ASCII are written in an encoding.
	UTF8 bool

	source source
}

// RecipientStatus is what became of one recipient. In what ParseReport returns,
// Action is in lower case and may be none of the constants, and Status is "" if no
// valid code was found.
type RecipientStatus struct {
	OriginalRecipient string // ORCPT with its type, "rfc822;user@example.com", decoded; or ""
	FinalRecipient    string // the address, without type
	Action            Action
	Status            string    // enhanced code, "5.1.1"; "" writes X.0.0 of the action's class
	RemoteMTA         string    // the host that answered, or ""
	DiagnosticCode    string    // its answer, lines joined with LF; or ""
	DiagnosticType    string    // what the answer is, in lower case; "" writes smtp for a reply of SMTP, else x-local
	LastAttempt       time.Time // zero: left out
	WillRetryUntil    time.Time // for Delayed; zero: left out
	FinalLogID        string    // the id in the last host's log, or ""
	Advice            string    // what it means, a sentence for people; in the text alone
}

// Disposition is a message disposition notification (RFC 8098): what became
// of a message after delivery.
type Disposition struct {
	From, To  string    // fields
	Subject   string    // "" writes one
	MessageID string    // "": WriteTo makes one and puts it here
	Date      time.Time // zero: WriteTo puts the present time here

	ReportingUA       string // "host; product", or ""
	OriginalRecipient string // with its type, or ""
	FinalRecipient    string // the address
	OriginalMessageID string // with its brackets, or ""
	Automatic         bool   // automatic-action and MDN-sent-automatically, else manual
	Type              string // displayed, deleted, dispatched, processed; others that ParseDisposition found, in lower case
	Modifiers         []string
	Errors            []string // one Error field each

	Text     string // for people; "" writes one
	Original io.Reader
	Return   Return
	Returned *Section // the original's header section as ParseDisposition found it; WriteTo does not look at it
	SevenBit bool
	UTF8     bool

	source source
}
