package milter

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// Verdict is what becomes of a message, or of a recipient.
type Verdict int

// What a milter may say.
const (
	Continue Verdict = iota // it has nothing against it
	Refuse                  // it is refused, with Answer.Code
	Discard                 // it is taken, and thrown away
)

// Answer is what a milter says to a step.
type Answer struct {
	Verdict Verdict
	// Code, Enhanced (RFC 3463) and Text are the reply of a refusal. Text has a line for each of the milter's, LF between them; it is
	// empty where it has left the words to us.
	Code           int
	Enhanced, Text string
}

// Kind is what a milter wants to have changed, in words.
type Kind string

// Kinds of changes.
const (
	AddField       Kind = "add field"    // below all others
	InsertField    Kind = "insert field" // below as many as Index says
	ChangeField    Kind = "change field" // the one of that name that Index says; without a Value it is to go
	ChangeBody     Kind = "replace body"
	ChangeSender   Kind = "change sender"
	AddRecipient   Kind = "add recipient"
	DropRecipient  Kind = "remove recipient"
	QuarantineMail Kind = "quarantine"
)

// Change is one wish of a milter.
type Change struct {
	Kind  Kind
	Index uint32
	Name  string // of a field
	// Value is that of a field, as the milter has it (see Client.Exact), an address with brackets, or the reason for a quarantine.
	Value string
}

// Exact reports whether values of fields begin right behind the colon; else there is a blank between that they have not.
func (c *Client) Exact() bool { return c.wants&leadingSpace != 0 }

// answer reads what the milter has to say to a step. That it is still at work ("progress") is heard, and lengthens nothing.
func (c *Client) answer(command byte, change func(Change)) (a Answer, err error) {
	for {
		code, size, err := c.head()
		if err != nil {
			return a, err
		}
		if code == 'b' && change != nil {
			change(Change{Kind: ChangeBody})
			if err := c.pass(size); err != nil {
				return a, err
			}
			continue
		}
		data, err := c.data(code, size)
		if err != nil {
			return a, err
		}
		if code == 'p' {
			continue
		}
		if wish, ok := wishOf(code, data); ok && change != nil {
			change(wish)
			continue
		}
		return c.verdict(command, code, data)
	}
}

// verdict is what an answer that ends a step says.
func (c *Client) verdict(command, code byte, data []byte) (Answer, error) {
	switch code {
	case 'a':
		c.over = true
		return Answer{}, nil
	case 'c':
		return Answer{}, nil
	case 'd':
		if command == 'C' || command == 'H' {
			break // there is no message yet
		}
		c.over = true
		return Answer{Verdict: Discard}, nil
	case 'r':
		return Answer{Verdict: Refuse, Code: 550, Enhanced: "5.7.1"}, nil
	case 't':
		return Answer{Verdict: Refuse, Code: 451, Enhanced: "4.7.1"}, nil
	case 'y':
		if a, ok := reply(data); ok {
			return a, nil
		}
	case 's':
		if c.wants&maySkip != 0 && (command == 'R' || command == 'L' || command == 'B') {
			c.skip = command
			return Answer{}, nil
		}
	case 'f':
		return Answer{}, fmt.Errorf("the milter says that it cannot work")
	case '4':
		return Answer{Verdict: Refuse, Code: 421, Enhanced: "4.7.0"}, nil
	}
	return Answer{}, fmt.Errorf("%w: %q with %d octets", ErrGarbage, code, len(data))
}

// wishOf reads a change.
func wishOf(code byte, data []byte) (w Change, ok bool) {
	words := func() ([]string, bool) {
		text, ok := bytes.CutSuffix(data, []byte{0})
		return strings.Split(string(text), "\x00"), ok
	}
	switch code {
	case 'i', 'm':
		if len(data) < 4 {
			return w, false
		}
		w.Index, data = binary.BigEndian.Uint32(data), data[4:]
		fallthrough
	case 'h':
		w.Kind = map[byte]Kind{'h': AddField, 'i': InsertField, 'm': ChangeField}[code]
		all, ok := words()
		if !ok || len(all) != 2 {
			return w, false
		}
		w.Name, w.Value = all[0], all[1]
		return w, true
	case '+', '2', '-', 'e', 'q':
		w.Kind = map[byte]Kind{'+': AddRecipient, '2': AddRecipient, '-': DropRecipient, 'e': ChangeSender, 'q': QuarantineMail}[code]
		all, ok := words()
		if ok {
			w.Value = all[0]
		}
		return w, ok
	}
	return w, false
}

// reply reads a reply in the milter's own words: "550 5.7.1 text", perhaps of several lines. Percent signs are doubled
// there, for the sake of programs that print it.
func reply(data []byte) (a Answer, ok bool) {
	data, ok = bytes.CutSuffix(data, []byte{0})
	if !ok || bytes.IndexByte(data, 0) >= 0 {
		return a, false
	}
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(string(data), "\r\n"), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if len(line) < 3 || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
			return a, false
		}
		code, err := strconv.Atoi(line[:3])
		if err != nil || code < 400 || code > 599 || a.Code != 0 && code != a.Code {
			return a, false
		}
		a.Code = code
		rest := line[min(len(line), 4):]
		if enhanced, after, _ := strings.Cut(rest, " "); isEnhanced(enhanced, code) {
			a.Enhanced, rest = enhanced, after
		}
		rest = strings.ReplaceAll(strings.Map(printable, rest), "%%", "%")
		lines = append(lines, strings.ToValidUTF8(rest[:min(len(rest), mostLine)], ""))
	}
	if len(lines) > mostLines {
		lines = lines[:mostLines]
	}
	a.Verdict, a.Text = Refuse, strings.Join(lines, "\n")
	return a, true
}

// mostLines is how many lines of a milter's reply a client is told, and mostLine how much of each (a line of a reply has at most
// 512 octets, RFC 5321 §4.5.3.1.5).
const (
	mostLines = 20
	mostLine  = 400
)

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

// isEnhanced reports whether a word is a code like "5.7.1" (RFC 3463) that goes with a reply's.
func isEnhanced(word string, code int) bool {
	parts := strings.Split(word, ".")
	if len(parts) != 3 || parts[0] != strconv.Itoa(code/100) {
		return false
	}
	for _, p := range parts[1:] {
		if n, err := strconv.Atoi(p); err != nil || n < 0 || len(p) > 3 || strconv.Itoa(n) != p {
			return false
		}
	}
	return true
}
