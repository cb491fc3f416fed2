package daemon

import (
	"bufio"
	"context"
	"io"
	"unicode/utf8"

	"github.com/postrider-mail/postrider/mailstore"
)

// maxHeader is how much of a message is looked at for its header.
const maxHeader = 1 << 20

// utf8Header reports whether a message has UTF-8 in its header (RFC 6532 §3.2).
// Octets in another character set, which old programs send and read, are none. A
// message that cannot be read is for the one who opens it next to tell of.
func utf8Header(ctx context.Context, box mailstore.Maildrop, i int) bool {
	src, err := box.Open(ctx, i)
	if err != nil {
		return false
	}
	defer src.Close()
	return hasUTF8(bufio.NewReader(io.LimitReader(src, maxHeader)))
}

// hasUTF8 reports whether a line before the first empty one is UTF-8 and more
// than ASCII.
func hasUTF8(r *bufio.Reader) bool {
	empty, more, broken := true, false, false
	for {
		c, size, err := r.ReadRune()
		switch {
		case err != nil:
			return more && !broken
		case c == '\n' && more && !broken:
			return true
		case c == '\n' && empty:
			return false
		case c == '\n':
			empty, more, broken = true, false, false
		case c == utf8.RuneError && size == 1:
			empty, broken = false, true
		case c >= utf8.RuneSelf:
			empty, more = false, true
		case c != '\r':
			empty = false
		}
	}
}
