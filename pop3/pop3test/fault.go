package pop3test

import (
	"time"

	"github.com/postrider-mail/postrider/internal/faulty"
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

// common are the faults as the engine takes them.
func common(all []Fault) []faulty.Fault {
	out := make([]faulty.Fault, len(all))
	for i, f := range all {
		if f.At == "message" && f.Raw != "" {
			panic("pop3test: at message there is Cut and Delay")
		}
		out[i] = faulty.Fault{At: f.At, Skip: f.Skip, Times: f.Times, Delay: f.Delay, Reply: f.Reply, Raw: f.Raw, Cut: f.Cut, After: f.After}
	}
	return out
}
