package smtptest

import (
	"time"

	"github.com/postrider-mail/postrider/internal/faulty"
	"github.com/postrider-mail/postrider/smtp"
)

// Fault is what goes wrong, when, and how often. Of Reply, Raw and Cut one is
// set, or none for a server that is merely slow.
type Fault struct {
	// At is the command it happens at, in capitals: "EHLO", "STARTTLS", "MAIL",
	// "RCPT", "DATA", "BDAT", "QUIT" and so on; or one of
	// "connect" (instead of the greeting), "TLS" (the handshake) and "message"
	// (behind the dot, or the last chunk).
	At string
	// Of narrows it down to commands whose line holds this text, without regard to case:
	// "<bob@example.com>" at RCPT is one recipient, "@example.net>" at MAIL are the senders of
	// a domain. At "message" it is looked for among "<sender> <recipient> <recipient>". Empty
	// means all.
	Of string
	// Skip is how often it goes well first, and Times how often it then goes
	// wrong before all is well again; 0 means always. They count over all
	// connections of the server.
	Skip, Times int

	// Delay is a wait before the answer, whatever that is.
	Delay time.Duration
	// Reply is the answer: a smtp.StandardReply or a *smtp.Reply. It can be given
	// at connect, EHLO, HELO, LHLO, MAIL, RCPT, DATA, BDAT and message.
	Reply error
	// Raw is sent in place of the whole answer, octet for octet. Under TLS it is
	// sent beside the answer, which no client takes for anything but an attack.
	Raw string
	// Cut closes the connection in place of the answer. At "message" the whole
	// message has been read and taken, and the client cannot know that.
	Cut bool
}

// Cut hangs up at a command, or at "connect", "TLS" or "message".
func Cut(at string) Fault { return Fault{At: at, Cut: true} }

// Slow answers late.
func Slow(at string, d time.Duration) Fault { return Fault{At: at, Delay: d} }

// Say answers with a reply of one's own.
func Say(at string, reply error) Fault { return Fault{At: at, Reply: reply} }

// Garbage answers with what is no reply.
func Garbage(at string) Fault { return Fault{At: at, Raw: "\x00\xff garbage\r\n"} }

// Full has no room for any message.
func Full() Fault { return Say("message", smtp.ErrMailboxFull) }

// Greylist refuses the first n recipients for now, and takes those that come
// after.
func Greylist(n int) Fault { return Fault{At: "RCPT", Reply: smtp.ErrGreylisted, Times: n} }

// BrokenTLS fails every handshake.
func BrokenTLS() Fault { return Cut("TLS") }

// answered are where Reply can be given.
var answered = []string{"connect", "EHLO", "HELO", "LHLO", "MAIL", "RCPT", "DATA", "BDAT", "message"}

// common are the faults as the engine takes them.
func common(all []Fault) []faulty.Fault {
	out := make([]faulty.Fault, len(all))
	for i, f := range all {
		out[i] = faulty.Fault{At: f.At, Of: f.Of, Skip: f.Skip, Times: f.Times, Delay: f.Delay, Reply: f.Reply, Raw: f.Raw, Cut: f.Cut}
	}
	return out
}
