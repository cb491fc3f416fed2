package smtp

import (
	"bytes"
	"io"
)

// lineEnds watches the ends of lines in a message that arrives in pieces.
type lineEnds struct {
	crs   int    // CRs in a row at the end of what came before
	owed  int    // CRLFs to write for CRs that turned out to stand alone
	in    []byte // room for raw octets
	rest  []byte // of them, those not looked at yet
	store []byte // room for what normalising makes of them
	out   []byte // of it, what has not been returned
}

// check reports whether every CR and LF in p belongs to a CRLF: before each LF
// stands a CR, and there are no more CRs than that, but for one at the end, whose
// LF may be in the next piece.
func (l *lineEnds) check(p []byte, end bool) bool {
	if len(p) == 0 {
		return !end || l.crs == 0
	}
	if l.crs > 0 && p[0] != '\n' {
		return false
	}
	crs := l.crs + bytes.Count(p, []byte{'\r'})
	for i := 0; ; i++ {
		lf := bytes.IndexByte(p[i:], '\n')
		if lf < 0 {
			break
		}
		i += lf
		if i == 0 && l.crs == 0 || i > 0 && p[i-1] != '\r' {
			return false
		}
		crs--
	}
	l.crs = 0
	if p[len(p)-1] == '\r' {
		l.crs = 1
	}
	return crs == l.crs && !(end && l.crs > 0)
}

// normalise fills p from raw, with CRLF in the place of every CR and LF of its
// own, and of a run of CRs before an LF, as textual.Normalise does it.
func (l *lineEnds) normalise(p []byte, raw func([]byte) (int, error)) (int, error) {
	if l.in == nil {
		l.in = make([]byte, 4<<10)
	}
	for len(l.out) == 0 {
		switch {
		case l.owed > 0:
			n := min(l.owed, len(l.in)/2)
			l.owed -= n
			l.out = l.store[:0]
			for range n {
				l.out = append(l.out, "\r\n"...)
			}
			l.store = l.out
		case len(l.rest) > 0:
			l.convert()
		default:
			n, err := raw(l.in)
			l.rest = l.in[:n]
			switch {
			case n > 0:
			case err == io.EOF && l.crs > 0:
				l.owed, l.crs = l.crs, 0
			case err != nil:
				return 0, err
			}
		}
	}
	n := copy(p, l.out)
	l.out = l.out[n:]
	return n, nil
}

// convert turns l.rest into l.out, up to a run of CRs that stand alone: of
// those there may be more than memory should hold, so that they are only
// counted.
func (l *lineEnds) convert() {
	l.store = l.store[:0]
	for i, b := range l.rest {
		switch {
		case b == '\r':
			l.crs++
			continue
		case b == '\n':
			l.store = append(l.store, "\r\n"...)
		case l.crs > 0:
			l.owed, l.crs = l.crs, 0
			l.out, l.rest = l.store, l.rest[i:]
			return
		default:
			l.store = append(l.store, b)
		}
		l.crs = 0
	}
	l.out, l.rest = l.store, nil
}
