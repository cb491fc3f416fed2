// Package faulty is what the test servers of line protocols stand on: faults that
// are due at a command, connections that can be cut and whose answers can be
// replaced, and a certificate.
//
//	e := faulty.New("smtptest", "connect", "EHLO", "MAIL") // where a Reply can be given
//	e.SetFaults(faulty.Fault{At: "MAIL", Cut: true, Times: 1})
//	addr := e.Start(server.Serve) // whose Trace calls e.Trace, and whose Done e.Forget
//	defer e.Close(server)
package faulty

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// Fault is what smtptest and pop3test call a Fault; they say what At can be.
type Fault struct {
	At          string
	Of          string // what the line holds, without regard to case; empty: any
	Skip, Times int
	Delay       time.Duration
	Reply       error
	Raw         string
	Cut         bool
	After       int64 // octets of a message before Cut
}

// Err is what a callback returns whose connection a Fault has cut. Nobody hears it.
var Err = errors.New("a Fault has cut the connection")

// Engine has the faults of one server. Its methods may be called by any number of
// goroutines.
type Engine struct {
	name     string   // of the package, for its panics
	answered []string // where Reply can be given
	closed   chan struct{}
	serving  sync.WaitGroup

	mu       sync.Mutex
	faults   []*counted
	said     []string
	sessions map[*lineserver.Identity]*session
	conns    map[string]*conn // by remote address
}

// counted is a Fault and how often its place was passed.
type counted struct {
	Fault
	passed int
}

// session is what is due at the command that a session has just read.
type session struct {
	due Fault
	cut bool // it was cut off: what it has sent already is not obeyed
}

// New makes the engine of a package's server, in which Reply can be given at the
// places answered.
func New(name string, answered ...string) *Engine {
	return &Engine{name: name, answered: answered, closed: make(chan struct{}), sessions: make(map[*lineserver.Identity]*session), conns: make(map[string]*conn)}
}

// SetFaults replaces the faults; what was counted begins anew. It panics if one
// could never happen.
func (e *Engine) SetFaults(faults ...Fault) {
	all := make([]*counted, len(faults))
	for i, f := range faults {
		if problem := e.problem(&f); problem != "" {
			panic(e.name + ": " + problem)
		}
		all[i] = &counted{Fault: f}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = all
}

// problem says why a fault could never happen.
func (e *Engine) problem(f *Fault) string {
	ways := 0
	for _, set := range []bool{f.Reply != nil, f.Raw != "", f.Cut} {
		if set {
			ways++
		}
	}
	switch {
	case f.At == "":
		return "a Fault without At"
	case ways > 1:
		return fmt.Sprintf("a Fault at %s with more than one of Reply, Raw and Cut", f.At)
	case f.Reply != nil && !slices.Contains(e.answered, f.At):
		return fmt.Sprintf("Reply cannot be given at %s, use Raw", f.At)
	case f.At == "TLS" && !f.Cut && f.Delay == 0:
		return "at TLS there is Cut and Delay"
	case f.After != 0 && f.At != "message":
		return "After is for a Fault at message"
	}
	return ""
}

// Due is the Fault that happens at this place now, the zero Fault if none does.
func (e *Engine) Due(at, line string) (f Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.faults {
		if c.At != at || !strings.Contains(strings.ToLower(line), strings.ToLower(c.Of)) {
			continue
		}
		if c.passed++; f.At == "" && c.passed > c.Skip && (c.Times == 0 || c.passed <= c.Skip+c.Times) {
			f = c.Fault
		}
	}
	return f
}

// Trace notes a command line that a session has read, and does what is due there;
// a Reply is left to the callback, see Reply.
func (e *Engine) Trace(i *lineserver.Identity, dir byte, line string) {
	if dir != 'r' {
		return
	}
	word, _, _ := strings.Cut(line, " ")
	f := e.Due(strings.ToUpper(word), line)
	e.mu.Lock()
	e.said = append(e.said, line)
	cut := f.Cut || e.sessions[i] != nil && e.sessions[i].cut
	e.sessions[i] = &session{f, cut}
	e.mu.Unlock()
	e.Do(i, f)
}

// Reply is the answer due at the command at hand; Err if the connection was cut.
func (e *Engine) Reply(i *lineserver.Identity) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := e.sessions[i]
	switch {
	case at == nil:
		return nil
	case at.cut:
		return Err
	}
	return at.due.Reply
}

// Happen does what is due at a place that is no command, and returns the answer.
func (e *Engine) Happen(i *lineserver.Identity, at string) error {
	f := e.Due(at, "")
	e.Do(i, f)
	if f.Cut {
		return Err
	}
	return f.Reply
}

// Do waits, cuts the connection, or has the next answer replaced.
func (e *Engine) Do(i *lineserver.Identity, f Fault) {
	e.Wait(f.Delay)
	switch {
	case f.Cut:
		i.Close()
	case f.Raw != "":
		e.mu.Lock()
		c := e.conns[i.Remote()]
		e.mu.Unlock()
		if c != nil {
			c.replace(f.Raw, i.TLS != nil)
		}
	}
}

// Wait waits, but not longer than the server lasts.
func (e *Engine) Wait(d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-e.closed:
	}
}

// Forget drops what is known of a session that has ended.
func (e *Engine) Forget(i *lineserver.Identity) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.sessions, i)
	delete(e.conns, i.Remote())
}

// Commands are the command lines so far.
func (e *Engine) Commands() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.said)
}

// Closed is closed when the server is.
func (e *Engine) Closed() <-chan struct{} { return e.closed }
