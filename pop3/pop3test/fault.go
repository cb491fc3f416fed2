package pop3test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/pop3"
)

// Fault is what goes wrong, when, and how often. Of Reply, Raw and Cut one is
// set, or none for a server that is merely slow.
type Fault struct {
	// At is the command it happens at, in capitals: "USER", "PASS", "AUTH",
	// "CAPA", "STLS", "STAT", "UIDL", "RETR", "DELE", "QUIT" and so on; or one of
	// "connect" (instead of the greeting), "TLS" (the handshake), "login" (the
	// password is right and the maildrop is to be opened) and "message" (within
	// the text of RETR or TOP).
	At string
	// Skip is how often it goes well first, and Times how often it then goes
	// wrong before all is well again; 0 means always. They count over all
	// connections of the server.
	Skip, Times int

	// Delay is a wait before the answer, whatever that is.
	Delay time.Duration
	// Reply is the answer, such as pop3.ErrInUse or a *pop3.Error. It can be
	// given at connect, login, RETR, TOP, and at a QUIT that would remove
	// messages, which then stay.
	Reply error
	// Raw is sent in place of the whole answer, octet for octet. Under TLS it is
	// sent beside the answer, which no client takes for anything but an attack.
	Raw string
	// Cut closes the connection in place of the answer; at "message" behind the
	// first After octets of the text.
	Cut   bool
	After int64
}

// Cut hangs up at a command, or at "connect", "TLS" or "login".
func Cut(at string) Fault { return Fault{At: at, Cut: true} }

// CutMessage hangs up within a message, behind so many of its octets. The last
// 32 kB of these may not have left the server, nor +OK before them.
func CutMessage(after int64) Fault { return Fault{At: "message", Cut: true, After: after} }

// Slow answers late.
func Slow(at string, d time.Duration) Fault { return Fault{At: at, Delay: d} }

// Say answers with a refusal of one's own.
func Say(at string, reply error) Fault { return Fault{At: at, Reply: reply} }

// Garbage answers with what is no response.
func Garbage(at string) Fault { return Fault{At: at, Raw: "\x00\xff garbage\r\n"} }

// InUse refuses the first n logins because another session holds the maildrop.
func InUse(n int) Fault { return Fault{At: "login", Reply: pop3.ErrInUse, Times: n} }

// BrokenTLS fails every handshake.
func BrokenTLS() Fault { return Cut("TLS") }

// answered are where Reply can be given.
var answered = []string{"connect", "login", "RETR", "TOP", "QUIT"}

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
		panic("pop3test: a Fault without At")
	case ways > 1:
		panic(fmt.Sprintf("pop3test: a Fault at %s with more than one of Reply, Raw and Cut", f.At))
	case f.Reply != nil && !slices.Contains(answered, f.At):
		panic(fmt.Sprintf("pop3test: Reply cannot be given at %s, use Raw", f.At))
	case (f.At == "TLS" || f.At == "message") && f.Raw != "":
		panic(fmt.Sprintf("pop3test: at %s there is Cut and Delay", f.At))
	case f.After != 0 && f.At != "message":
		panic("pop3test: After is for a Fault at message")
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

var errFault = errors.New("pop3test: a Fault")
