package smtp

import (
	"bytes"
	"errors"
)

// errEndsInLF is what reading a line ends with when the client waits for the
// answer to a line that ended in LF alone. It would wait for ever, since the
// line has not ended for us; and no line behind it may be obeyed, since a server
// that passes on the mail of others may have made one line out of two.
var errEndsInLF = errors.New("smtp: the line ended in LF alone")

// errEndlessLine is what reading a line ends with that does not end: what is too
// long is read and thrown away, but not for ever.
var errEndlessLine = errors.New("smtp: a line without end")

// endlessLine is how many octets of a line are read for the sake of answering in
// step.
const endlessLine = 1 << 20

// beginLine begins the wait for a line.
func (s *session) beginLine() {
	s.clock.await()
	s.clock.octets = 0
	if s.r.Buffered() == 0 {
		s.bareLF = false // what was read belonged to something else
	}
}

// readLines reads from the network, and watches for LF without CR: of a client
// that speaks LF (TolerateLF) each becomes CRLF on the way in, so that for all
// the rest of the engine it speaks like everybody else.
func (s *source) readLines(p []byte) (int, error) {
	switch {
	case s.oweLF:
		s.oweLF = false
		p[0] = '\n'
		return 1, nil
	case s.bareLF && !s.clock.receiving && !s.r.Tolerant:
		return 0, errEndsInLF
	case s.clock.octets > endlessLine && !s.clock.receiving:
		return 0, errEndlessLine
	}
	in := p
	if s.tolerance&TolerateLF != 0 && (s.speaksLF || !s.heardLine) {
		in = p[:max(len(p)/2, 1)] // room for as many CRs
	}
	n, err := s.net.Read(in)
	s.clock.arrived(n)
	if n == 0 {
		return 0, err
	}
	wasCR := s.lastCR
	if !s.heardLine {
		if i := bytes.IndexByte(in[:n], '\n'); i >= 0 {
			s.heardLine = true
			s.speaksLF = s.tolerance&TolerateLF != 0 && !follows(in, i, wasCR)
		}
	}
	s.lastCR = in[n-1] == '\r'
	s.bareLF = in[n-1] == '\n' && !follows(in, n-1, wasCR)
	if s.speaksLF {
		n = s.addCRs(p, n, wasCR)
	}
	return n, err
}

// follows reports whether a CR stands before p[i].
func follows(p []byte, i int, wasCR bool) bool {
	if i == 0 {
		return wasCR
	}
	return p[i-1] == '\r'
}

// addCRs puts a CR before each LF of p[:n] that has none, and returns how many
// octets there are then. There is room for them unless p is a single octet.
func (s *source) addCRs(p []byte, n int, wasCR bool) int {
	bare := 0
	for i, b := range p[:n] {
		if b == '\n' && !follows(p, i, wasCR) {
			bare++
		}
	}
	if n+bare > len(p) {
		s.oweLF = true
		p[0] = '\r'
		return 1
	}
	for from, to := n-1, n+bare-1; from < to; from-- {
		p[to] = p[from]
		to--
		if p[from] == '\n' && !follows(p, from, wasCR) {
			p[to] = '\r'
			to--
		}
	}
	return n + bare
}
