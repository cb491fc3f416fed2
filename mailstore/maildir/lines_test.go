package maildir

import (
	"io"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// TestFoldAnyPieces: whatever the pieces, a text is folded up to where that would
// lose something, and what was folded comes back; its size is known before.
func TestFoldAnyPieces(t *testing.T) {
	for r, text := range (mailtest.Messages{Edges: []int{8, 20}, Wild: true, Count: 50_000}).Each(t) {
		text = strings.TrimPrefix(text, "Subject: x\r\n")
		foldable := !strings.Contains(text, "\r\r\n") && strings.Count(text, "\n") == strings.Count(text, "\r\n")
		size := mailtest.Sizes(r, 8)
		var f folder
		var folded []byte
		ok := true
		for at := 0; at < len(text) && ok; {
			p := []byte(text[at:min(len(text), at+size(at))])
			at += len(p)
			var n int
			folded, n, ok = f.fold(folded, p)
			text := text[:at-len(p)+n]
			if cr := strings.HasSuffix(text, "\r"); ok != (n == len(p)) || !ok && f.pending && !cr {
				t.Fatalf("%q: %d of %d octets, %t, CR pending %t", text, n, len(p), ok, f.pending)
			}
			back := string(folded)
			if back = strings.ReplaceAll(back, "\n", "\r\n"); f.pending {
				back += "\r"
			}
			if d := mailtest.Differ(back, text); d != "" {
				t.Fatalf("%q as %q: %s", text, folded, d)
			}
		}
		if ok != foldable {
			t.Fatalf("%q: folded %t, can be %t", text, ok, foldable)
		}
		checkUnfold(t, text, func() io.Reader { return mailtest.Pieces(r, strings.NewReader(text), 8) })
	}
}

// checkUnfold reads a file as it goes out.
func checkUnfold(t *testing.T, file string, open func() io.Reader) {
	t.Helper()
	want := strings.ReplaceAll(strings.ReplaceAll(file, "\n", "\r\n"), "\r\r\n", "\r\n")
	got, err := io.ReadAll(newLineReader(io.NopCloser(open())))
	if d := mailtest.Differ(string(got), want); err != nil || d != "" {
		t.Fatalf("%q: %v; %s", file, err, d)
	}
	disk, wire, err := wireSize(open())
	if disk != int64(len(file)) || wire != int64(len(want)) || err != nil {
		t.Fatalf("%q: %d octets on disk, %d on the wire, %v; want %d and %d", file, disk, wire, err, len(file), len(want))
	}
}
