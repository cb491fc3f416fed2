package smtptest

import (
	"fmt"
	"slices"
	"time"

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
	// Skip is how often it goes well first, and Times how often it then goes
	// wrong before all is well again; 0 means always. They count over all
	// connections of the server.
	Skip, Times int

	// Delay is a wait before the answer, whatever that is.
	Delay time.Duration
	// Reply is the answer: a smtp.StandardReply or a *smtp.Reply. It can be given
	// at connect, EHLO, HELO, LHLO, MAIL, RCPT, DATA, BDAT and message.
	Reply error
	// Raw is sent in place of the answer, octet for octet. A server that is
	// started with it does not offer PIPELINING. Under TLS it is sent beside the
	// answer, which no client takes for anything but an attack.
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

// check panics if the fault could never happen.
func (f *Fault) check() {
	ways := 0
	for _, set := range []bool{f.Reply != nil, f.Raw != "", f.Cut} {
		if set {
			ways++
		}
	}
	switch {
	case f.At == "":
		panic("smtptest: a Fault without At")
	case ways > 1:
		panic(fmt.Sprintf("smtptest: a Fault at %s with more than one of Reply, Raw and Cut", f.At))
	case f.Reply != nil && !slices.Contains(answered, f.At):
		panic(fmt.Sprintf("smtptest: Reply cannot be given at %s, use Raw", f.At))
	case f.At == "TLS" && !f.Cut && f.Delay == 0:
		panic("smtptest: at TLS there is Cut and Delay")
	}
}

// counted is a Fault and how often its place was passed.
type counted struct {
	Fault
	passed int
}

// due is the Fault that happens at this place now, the zero Fault if none does.
func (s *Server) due(at string) (f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.faults {
		if c.At != at {
			continue
		}
		if c.passed++; f.At == "" && c.passed > c.Skip && (c.Times == 0 || c.passed <= c.Skip+c.Times) {
			f = c.Fault
		}
	}
	return f
}
