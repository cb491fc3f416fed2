package post

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestLongHeads: only so many headers are read beyond what is common, and every
// message comes through whole.
func TestLongHeads(t *testing.T) {
	long := strings.Repeat("X-Y: "+strings.Repeat("z", 900)+"\r\n", 300)
	text := long + "Date: x\r\n\r\nbody"
	var h longHeaders
	var all []func()
	for i := range mostLong + 2 {
		header, whole, done, err := h.peek(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, done)
		if cut := i >= mostLong; header.Truncated() != cut || header.Has("Date") == cut {
			t.Errorf("header %d: %d fields, cut %v, want %v", i, header.Len(), header.Truncated(), cut)
		}
		if got, err := io.ReadAll(whole); err != nil || string(got) != text {
			t.Errorf("header %d: the message is %d octets (%v), want %d", i, len(got), err, len(text))
		}
	}
	for _, done := range all {
		done()
	}
	if header, _, done, _ := h.peek(strings.NewReader(text)); header.Truncated() {
		t.Error("there is no room again")
	} else {
		done()
	}
	gone := errors.New("the client is gone")
	if _, _, _, err := h.peek(io.MultiReader(strings.NewReader(long), iotest.ErrReader(gone))); !errors.Is(err, gone) {
		t.Errorf("a header that is broken off: %v", err)
	}
	if n := h.long.Load(); n != 0 {
		t.Errorf("%d long headers are counted, want none", n)
	}
}
