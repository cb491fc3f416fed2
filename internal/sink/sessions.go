package sink

import (
	"slices"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// Sessions are the dialogues of the last clients, line by line, without passwords and
// messages. The zero value is ready.
type Sessions struct {
	mu   sync.Mutex
	byID map[string]*Dialogue
	last []*Dialogue // oldest first
}

// Dialogue is what one client and the server said.
type Dialogue struct {
	ID, Client string
	Begun      time.Time
	Lines      []Line
	octets     int
}

// Line is one of a Dialogue: From is 'r' for a line of the client's, 'w' for one of ours and
// '#' for a remark.
type Line struct {
	From byte
	Text string
}

// mostSessions and mostSaid bound what is remembered: so many dialogues, each of so many
// octets, of which the last are what matters.
const (
	mostSessions = 500
	mostSaid     = 32 << 10
)

// line is an smtp.Tracer.
func (s *Sessions) line(ss *smtp.Session, dir byte, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.byID[ss.ID]
	if d == nil {
		d = s.begin(ss)
	}
	d.Lines = append(d.Lines, Line{dir, text})
	for d.octets += len(text); d.octets > mostSaid && len(d.Lines) > 1; d.Lines = d.Lines[1:] {
		d.octets -= len(d.Lines[0].Text)
	}
}

func (s *Sessions) begin(ss *smtp.Session) *Dialogue {
	if s.byID == nil {
		s.byID = make(map[string]*Dialogue)
	}
	d := &Dialogue{ID: ss.ID, Client: ss.RemoteAddr.String(), Begun: time.Now().UTC()}
	s.byID[ss.ID] = d
	if s.last = append(s.last, d); len(s.last) > mostSessions {
		delete(s.byID, s.last[0].ID)
		s.last = s.last[1:]
	}
	return d
}

// Get is one dialogue; ok is false if it is not remembered.
func (s *Sessions) Get(id string) (d Dialogue, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.byID[id]; found != nil {
		d, ok = *found, true
		d.Lines = slices.Clone(found.Lines)
	}
	return d, ok
}

// List is all of them, the newest first.
func (s *Sessions) List() []Dialogue {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Dialogue, 0, len(s.last))
	for _, d := range slices.Backward(s.last) {
		c := *d
		c.Lines = slices.Clone(d.Lines)
		list = append(list, c)
	}
	return list
}

// String is the line with a sign of who said it: "C: EHLO a", "S: 250 ok".
func (l Line) String() string {
	switch l.From {
	case 'r':
		return "C: " + l.Text
	case 'w':
		return "S: " + l.Text
	}
	return "#  " + l.Text
}
