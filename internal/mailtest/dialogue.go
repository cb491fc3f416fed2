// Package mailtest is a world of mail in one process, for tests: dialogues with
// servers over pipes, and whatever else a test would otherwise need a network for.
package mailtest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Dialogue is a conversation with a server of any line protocol, as it should
// go. A file holds several, each line of which is one of:
//
//	=== name             a dialogue begins
//	server words         what the test that plays it should set up
//	# text               a comment; empty lines mean nothing either
//	C: text              the client sends text and CRLF; several C lines in a
//	                     row leave in one write
//	C* 100 text          the client sends the same line 100 times
//	C! "text\r\n"        the client sends just these octets, a Go string
//	flush                what the C lines above gathered leaves now
//	S: pattern           the server must send this line
//	S! pattern           the server must have sent this line already
//	S* pattern           the server may send such lines, any number of them
//	silent               the server must have sent nothing more by now
//	wait 5m              so much time passes
//	tls                  the TLS handshake
//	closed               the server must have closed the connection
//	hangup               the client closes it
//	connect              a new connection
//	do name arguments    a step of the test's own
//
// In a pattern, "..." stands for any text and "{name}" for any text that is
// then kept as a variable of that name. In what the client sends, "{name}" is
// replaced by the variable.
type Dialogue struct {
	Name   string   // file and name
	Server []string // the words of the server lines
	steps  []step
}

type step struct {
	at       string // file:line
	verb     string
	argument string
}

// Said is all that the client says in the dialogue, as a corpus for a fuzz
// target.
func (d *Dialogue) Said() string {
	p := Player{}
	for _, s := range d.steps {
		if s.verb == "C:" || s.verb == "C*" || s.verb == "C!" {
			p.step(s)
		}
	}
	return p.out.String()
}

// Dialogues reads the dialogues of all *.txt files in dir.
func Dialogues(t testing.TB, dir string) []*Dialogue {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogues in %s (%v)", dir, err)
	}
	var all []*Dialogue
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		some, err := parseDialogues(filepath.Base(name), string(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, some...)
	}
	return all
}

func parseDialogues(file, text string) (all []*Dialogue, err error) {
	var d *Dialogue
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		verb, argument, _ := strings.Cut(line, " ")
		at := fmt.Sprintf("%s:%d", file, n)
		switch {
		case line == "" || line[0] == '#':
			continue
		case verb == "===":
			d = &Dialogue{Name: strings.TrimSuffix(file, ".txt") + "/" + argument}
			all = append(all, d)
			continue
		case d == nil:
			return nil, fmt.Errorf("%s: a dialogue begins with === and its name", at)
		}
		switch verb {
		case "server":
			d.Server = append(d.Server, strings.Fields(argument)...)
		case "C:", "C*", "C!", "flush", "S:", "S!", "S*", "silent", "wait", "tls", "closed", "hangup", "connect", "do":
			d.steps = append(d.steps, step{at, verb, argument})
		default:
			return nil, fmt.Errorf("%s: unknown step %q", at, verb)
		}
	}
	return all, nil
}

// Player is the client's side of dialogues. It is best used in a synctest
// bubble, where waiting takes no time.
type Player struct {
	// Dial makes a connection to the server. It is called before the first
	// step and by connect.
	Dial func() (net.Conn, error)
	// TLS is the client's configuration for tls steps.
	TLS *tls.Config
	// Idle is called before silent looks whether the server has said
	// something: synctest.Wait.
	Idle func()
	// Steps are the test's own, for do.
	Steps map[string]func(arguments string) error
	// Vars are the variables.
	Vars map[string]string

	conn    net.Conn
	r       *bufio.Reader
	out     strings.Builder
	written chan struct{} // closed when the last write has left; nil if none
}

// patience is how long the server may take to say something. In a bubble it is
// longer than any time-out a server could have.
const patience = 8 * 24 * time.Hour

// Play plays d, and fails the test where the server deviates.
func (p *Player) Play(t testing.TB, d *Dialogue) {
	t.Helper()
	if p.Vars == nil {
		p.Vars = make(map[string]string)
	}
	if err := p.connect(); err != nil {
		t.Fatal(err)
	}
	defer func() { p.conn.Close(); p.waitWritten() }()
	for _, s := range d.steps {
		if err := p.step(s); err != nil {
			t.Errorf("%s: %s %s: %v", s.at, s.verb, s.argument, err)
			return
		}
	}
}

func (p *Player) step(s step) error {
	switch s.verb {
	case "C:":
		p.out.WriteString(p.fill(s.argument) + "\r\n")
		return nil
	case "C*":
		times, text, _ := strings.Cut(s.argument, " ")
		n, err := strconv.Atoi(times)
		p.out.WriteString(strings.Repeat(p.fill(text)+"\r\n", n))
		return err
	case "C!":
		text, err := strconv.Unquote(s.argument)
		p.out.WriteString(p.fill(text))
		return err
	}
	p.send()
	switch s.verb {
	case "flush":
		p.waitWritten()
		return nil
	case "S:":
		return p.expect(s.argument)
	case "S!":
		return p.expectNow(s.argument)
	case "S*":
		return p.expectMany(s.argument)
	case "do":
		name, arguments, _ := strings.Cut(s.argument, " ")
		f, ok := p.Steps[name]
		if !ok {
			return errors.New("the test has no such step")
		}
		return f(p.fill(arguments))
	}
	p.waitWritten()
	switch s.verb {
	case "wait":
		d, err := time.ParseDuration(s.argument)
		time.Sleep(d)
		return err
	case "silent":
		return p.silent()
	case "tls":
		return p.tls()
	case "closed":
		return p.closed()
	case "hangup":
		return p.conn.Close()
	case "connect":
		p.conn.Close()
		return p.connect()
	}
	return nil
}

func (p *Player) connect() (err error) {
	if p.conn, err = p.Dial(); err != nil {
		return err
	}
	p.r = bufio.NewReader(p.conn)
	return nil
}

// Send sends text as it is. Steps of a test's own use it.
func (p *Player) Send(text string) error {
	p.out.WriteString(text)
	p.send()
	return nil
}

// TLSState is the state of TLS, if a tls step has been played.
func (p *Player) TLSState() (tls.ConnectionState, bool) {
	c, ok := p.conn.(*tls.Conn)
	if !ok {
		return tls.ConnectionState{}, false
	}
	return c.ConnectionState(), true
}

// Drain reads to the end of the connection, whatever the server says.
func (p *Player) Drain() error {
	p.send()
	p.conn.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, p.r)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("connection is still open")
	}
	return nil
}

// send lets what the client has to say leave at once, while the server may
// already answer: a pipe holds nothing.
func (p *Player) send() {
	if p.out.Len() == 0 {
		return
	}
	p.waitWritten()
	text, conn, done := p.out.String(), p.conn, make(chan struct{})
	p.out.Reset()
	p.written = done
	go func() {
		defer close(done)
		io.WriteString(conn, text) // if it fails, so will the next expectation
	}()
}

func (p *Player) waitWritten() {
	if p.written != nil {
		<-p.written
		p.written = nil
	}
}

// Line reads the server's next line, without its ending.
func (p *Player) Line() (string, error) {
	p.conn.SetReadDeadline(time.Now().Add(patience))
	line, err := p.r.ReadString('\n')
	if err != nil {
		return line, fmt.Errorf("server says nothing: %q, %w", line, err)
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		return line, fmt.Errorf("server's line does not end with CRLF: %q", line)
	}
	return text, nil
}

func (p *Player) expect(pattern string) error {
	line, err := p.Line()
	if err == nil && !p.match(pattern, line) {
		err = fmt.Errorf("server says %q", line)
	}
	return err
}

func (p *Player) expectNow(pattern string) error {
	p.waitWritten()
	if p.Idle != nil {
		p.Idle()
	}
	p.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := p.r.Peek(1); err != nil {
		return fmt.Errorf("server has said nothing yet: %w", err)
	}
	return p.expect(pattern)
}

// expectMany consumes lines while they match. The one after them must have
// been sent too.
func (p *Player) expectMany(pattern string) error {
	for {
		p.conn.SetReadDeadline(time.Now().Add(patience))
		b, err := p.r.Peek(1)
		for n := 1; err == nil && b[len(b)-1] != '\n'; n++ {
			b, err = p.r.Peek(n)
		}
		if err != nil {
			return fmt.Errorf("server says nothing more: %w", err)
		}
		if !p.match(pattern, strings.TrimRight(string(b), "\r\n")) {
			return nil
		}
		p.r.Discard(len(b))
	}
}

// match compares a line with a pattern, and keeps the variables if it matches.
func (p *Player) match(pattern, line string) bool {
	found := make(map[string]string)
	if !match(pattern, line, found) {
		return false
	}
	for k, v := range found {
		p.Vars[k] = v
	}
	return true
}

func match(pattern, line string, vars map[string]string) bool {
	i, name, rest := wildcard(pattern)
	if i < 0 {
		return pattern == line
	}
	if !strings.HasPrefix(line, pattern[:i]) {
		return false
	}
	for n := i; n <= len(line); n++ {
		if match(rest, line[n:], vars) {
			if name != "" {
				vars[name] = line[i:n]
			}
			return true
		}
	}
	return false
}

// wildcard finds the first wildcard of a pattern: where it is, the variable it
// names, and what follows it.
func wildcard(pattern string) (i int, name, rest string) {
	dots := strings.Index(pattern, "...")
	open := strings.IndexByte(pattern, '{')
	if open >= 0 && (dots < 0 || open < dots) {
		if end := strings.IndexByte(pattern[open:], '}'); end > 1 {
			return open, pattern[open+1 : open+end], pattern[open+end+1:]
		}
	}
	if dots < 0 {
		return -1, "", ""
	}
	return dots, "", pattern[dots+3:]
}

func (p *Player) fill(text string) string {
	for name, value := range p.Vars {
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	return text
}

func (p *Player) silent() error {
	if p.Idle != nil {
		p.Idle()
	}
	p.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	b, err := p.r.Peek(1)
	if err == nil {
		return fmt.Errorf("server says %q", b)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("connection has ended: %w", err)
	}
	return nil
}

func (p *Player) tls() error {
	p.conn.SetDeadline(time.Now().Add(patience))
	c := tls.Client(p.conn, p.TLS)
	if err := c.Handshake(); err != nil {
		return err
	}
	p.conn, p.r = c, bufio.NewReader(c)
	return nil
}

// closed waits for the end of the connection. The server may end it in any
// way, but must not say anything before.
func (p *Player) closed() error {
	p.conn.SetReadDeadline(time.Now().Add(patience))
	b, err := p.r.Peek(1)
	switch {
	case err == nil:
		return fmt.Errorf("server says %q…", b)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("connection is still open")
	}
	return nil
}
