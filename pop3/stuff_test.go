package pop3

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// pieces of a text are read one by one.
type inPieces [][]byte

func (p *inPieces) Read(b []byte) (int, error) {
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(b, (*p)[0])
	*p = (*p)[1:]
	return n, nil
}

// TestStuffedInPieces: every text of six octets of a line's kind, in every two pieces: a dot is doubled behind a LF and
// at the beginning, nowhere else, whatever the pieces begin and end with.
func TestStuffedInPieces(t *testing.T) {
	const octets, longest = "a.\r\n", 6
	naive := func(text string) string {
		stuffed := strings.ReplaceAll("\n"+text, "\n.", "\n..")[1:]
		if text != "" && !strings.HasSuffix(text, "\r\n") {
			stuffed += "\r\n"
		}
		return stuffed + ".\r\n"
	}
	wrong := 0
	var each func(text string)
	each = func(text string) {
		for cut := range len(text) + 1 {
			var all inPieces
			for _, piece := range []string{text[:cut], text[cut:]} {
				if piece != "" {
					all = append(all, []byte(piece))
				}
			}
			var dst sink
			o := &output{dst: &dst, limit: -1}
			s := o.text()
			n, err := s.readFrom(&all)
			if err = errors.Join(err, s.end(), o.flush()); err != nil || n != int64(len(text)) {
				t.Fatalf("%q: %d, %v", text, n, err)
			}
			if got := dst.String(); got != naive(text) {
				if wrong++; wrong < 10 {
					t.Errorf("%q, cut at %d: %q, want %q", text, cut, got, naive(text))
				}
			}
		}
		if len(text) < longest {
			for i := range len(octets) {
				each(text + octets[i:i+1])
			}
		}
	}
	each("")
}

// TestReplyText: what comes from elsewhere stays one line of visible octets, and a reply is never longer than it may be,
// however long its text, with its id whole.
func TestReplyText(t *testing.T) {
	mailtest.Octets(t, "text", "xy", func(s string) bool { return string(appendText(nil, s, 100)) == s }, func(c byte) bool { return c >= ' ' && c != 0x7f })
	for _, id := range []string{"", "an-id-of-a-session"} {
		for n := maxReply - 40; n <= maxReply+10; n++ {
			for _, text := range []string{strings.Repeat("x", n), strings.Repeat("ä", n/2), strings.Repeat("x", n-1) + "ä"} {
				r := reply{code: "SYS/TEMP", text: text}
				line := r.appendTo(nil, id)
				whole := "-ERR [SYS/TEMP] " + text
				if id != "" {
					whole += " (" + id + ")"
				}
				whole += "\r\n"
				if fits := len(whole) <= maxReply; len(line) > maxReply || len(line) < min(len(whole), maxReply-8) || fits && string(line) != whole && len(whole) <= maxReply-len(" ()") {
					t.Errorf("%d octets of text: %d of %d: %q", len(text), len(line), len(whole), line)
				}
				if !bytes.HasSuffix(line, []byte("\r\n")) || id != "" && !bytes.HasSuffix(line, []byte(" ("+id+")\r\n")) || strings.ToValidUTF8(string(line), "?") != string(line) {
					t.Errorf("%d octets of text: ends with %q", len(text), line[len(line)-30:])
				}
			}
		}
	}
}
