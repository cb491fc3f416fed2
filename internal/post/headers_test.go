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
	for range 2 * mostLong { // common ones are no long ones, and keep nobody out
		if m, err := h.peek(strings.NewReader("Date: x\r\n\r\nbody"), false); err != nil || m.busy || h.strangers.Load() != 0 {
			t.Fatalf("a common header: %d are counted, busy: %v, %v", h.strangers.Load(), m.busy, err)
		}
	}
	for i := range mostLong + 2 {
		m, err := h.peek(strings.NewReader(text), false)
		if err != nil {
			t.Fatal(err)
		}
		header, whole := m.header, m.body
		all = append(all, m.done)
		if cut := i >= mostLong; header.Truncated() != cut || m.busy != cut || header.Has("Date") == cut {
			t.Errorf("header %d: %d fields, cut %v, want %v", i, header.Len(), header.Truncated(), cut)
		}
		if got, err := io.ReadAll(whole); err != nil || string(got) != text {
			t.Errorf("header %d: the message is %d octets (%v), want %d", i, len(got), err, len(text))
		}
	}
	if m, _ := h.peek(strings.NewReader(text), true); m.header.Truncated() {
		t.Error("strangers keep users from being heard")
	} else {
		m.done()
	}
	for _, done := range all {
		done()
	}
	if m, _ := h.peek(strings.NewReader(text), false); m.header.Truncated() {
		t.Error("there is no room again")
	} else {
		m.done()
	}
	if m, _ := h.peek(strings.NewReader(strings.Repeat(long, 5)), false); !m.header.Truncated() || m.busy {
		t.Error("a header beyond all bounds is no matter of time")
	} else {
		m.done()
	}
	gone := errors.New("the client is gone")
	if _, err := h.peek(io.MultiReader(strings.NewReader(long), iotest.ErrReader(gone)), false); !errors.Is(err, gone) {
		t.Errorf("a header that is broken off: %v", err)
	}
	if n := h.strangers.Load() + h.trusted.Load(); n != 0 {
		t.Errorf("%d long headers are counted, want none", n)
	}
}
