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

// check says whether every CR and LF in p belongs to a CRLF.
func (l *lineEnds) check(p []byte, end bool) bool {
	for len(p) > 0 {
		text, rest, found := bytes.Cut(p, []byte{'\n'})
		cr := bytes.IndexByte(text, '\r')
		switch {
		case l.crs > 0 && (len(text) > 0 || !found): // a CR before, no LF behind it
			return false
		case !found:
			if cr >= 0 && cr != len(text)-1 {
				return false
			}
			l.crs = 0
			if cr >= 0 {
				l.crs = 1
			}
		case l.crs > 0: // CR before, LF now
			l.crs = 0
		case len(text) == 0 || cr != len(text)-1:
			return false
		}
		p = rest
	}
	return !end || l.crs == 0
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
