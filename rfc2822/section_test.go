package rfc2822

import (
	"errors"
	"strings"
	"testing"
)

func TestNewField(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"Subject", "Hello", "Subject: Hello\r\n"},
		{"Subject", "", "Subject: \r\n"},
		{"Subject", "  padded\t", "Subject: padded\r\n"},
		{"X", strings.Repeat("abcdefghi ", 10) + "end", "X: abcdefghi abcdefghi abcdefghi abcdefghi abcdefghi abcdefghi abcdefghi\r\n abcdefghi abcdefghi abcdefghi end\r\n"},
		{"X", strings.Repeat("a", 75) + "   b", "X: " + strings.Repeat("a", 75) + "  \r\n b\r\n"},
		{"X", strings.Repeat("a", 994), "X: " + strings.Repeat("a", 994) + "\r\n"},
		{"X", strings.Repeat("a", 997), "X: \r\n " + strings.Repeat("a", 997) + "\r\n"},
		{"X", "a " + strings.Repeat("b", 997), "X: a\r\n " + strings.Repeat("b", 997) + "\r\n"},
		{"Subject", "Grüße", "Subject: Grüße\r\n"},
	}
	for _, tt := range tests {
		f, err := NewField(tt.name, tt.value)
		if err != nil || f.Raw() != tt.want {
			t.Errorf("%.40q: %q, %v", tt.value, f.Raw(), err)
		}
		if f.Value() != strings.Trim(tt.value, " \t") {
			t.Errorf("%.40q: unfolds to %q", tt.value, f.Value())
		}
	}
	refused := []struct {
		name, value string
		err         error
	}{
		{"", "x", ErrBadName},
		{"A B", "x", ErrBadName},
		{"A:", "x", ErrBadName},
		{"Grüße", "x", ErrBadName},
		{"A", "x\r\nB: y", ErrBadValue},
		{"A", "x\ny", ErrBadValue},
		{"A", "x\ry", ErrBadValue},
		{"A", "x\x00y", ErrBadValue},
		{"A", strings.Repeat("x", 998), ErrLongLine},
		{"A", "b " + strings.Repeat("x", 998), ErrLongLine},
		{"A", "b" + strings.Repeat(" ", 1100) + "x", ErrLongLine},
	}
	for _, tt := range refused {
		if _, err := NewField(tt.name, tt.value); !errors.Is(err, tt.err) {
			t.Errorf("%q: %.20q: %v", tt.name, tt.value, err)
		}
		m, _ := ReadString("A: 1\r\n\r\n")
		if err := m.Header.Add(tt.name, tt.value); !errors.Is(err, tt.err) || m.Header.Len() != 1 {
			t.Errorf("Add %q: %.20q: %v", tt.name, tt.value, err)
		}
	}
}

const threeFields = "Received: a\r\nSubject: one\r\n\ttwo\r\nreceived: b\r\n\r\nbody\r\n"

func TestFieldAccess(t *testing.T) {
	m, _ := ReadString(threeFields)
	h := &m.Header
	first, _ := h.First("RECEIVED")
	last := h.list()[2]
	if first.Value() != "a" || last.Value() != "b" || last.Name() != "received" || len(h.Named("received")) != 2 {
		t.Error("first, last, all")
	}
	if h.Get("subject") != "one\ttwo" || h.Get("none") != "" || !h.Has("Subject") || h.Has("Subjec") {
		t.Error("Get and Has")
	}
	if f, _ := h.First("Subject"); f.Raw() != "Subject: one\r\n\ttwo\r\n" || f.Body() != " one\r\n\ttwo\r\n" {
		t.Errorf("%q", f.Raw())
	}
	if _, ok := h.First("none"); ok {
		t.Error("First finds what is not there")
	}
	if f := h.list(); len(f) != 3 || f[2].Raw() != last.Raw() {
		t.Error("Fields")
	}
}

func TestAddRemove(t *testing.T) {
	tests := []struct {
		in     string
		change func(h *Section)
		want   string
	}{
		{threeFields, func(h *Section) { h.Remove("received") }, "Subject: one\r\n\ttwo\r\n\r\nbody\r\n"},
		{threeFields, func(h *Section) { h.Remove("Nothing") }, threeFields},
		{threeFields, func(h *Section) { _ = h.Add("X", "1") }, "X: 1\r\n" + threeFields},
		{"A: 1\n\nb\n", func(h *Section) { _ = h.Add("X", "1") }, "X: 1\nA: 1\n\nb\n"},
		{"no header", func(h *Section) { _ = h.Add("X", "1") }, "X: 1\r\n\r\nno header"},
		{"\r\nbody", func(h *Section) { _ = h.Add("X", "1") }, "X: 1\r\n\r\nbody"},
		{"", func(h *Section) { _ = h.Add("X", "1") }, "X: 1\r\n"},
		{" evil\r\nA: 1\r\n\r\n", func(h *Section) { _ = h.Add("X", "1") }, "X: 1\r\nX-Leading-Line:\r\n evil\r\nA: 1\r\n\r\n"},
		{"\tevil\nA: 1\n\n", func(h *Section) { h.Prepend(); _ = h.Add("X", "1"); _ = h.Add("Y", "2") }, "Y: 2\nX: 1\nX-Leading-Line:\n\tevil\nA: 1\n\n"},
		{"A: 1\r\nbody at once\r\n", func(h *Section) { _ = h.Add("X", "1") }, "X: 1\r\nA: 1\r\nbody at once\r\n"},
	}
	for _, tt := range tests {
		m, _ := ReadString(tt.in)
		tt.change(&m.Header)
		if got := octets(m); got != tt.want {
			t.Errorf("%q: %q\nwant %q", tt.in, got, tt.want)
		}
		if m.Header.Size() != len(m.Header.String()) {
			t.Error("Size")
		}
	}
}

// TestChangesLeaveOthersAlone: a section that was copied does not change with the copy.
func TestChangesLeaveOthersAlone(t *testing.T) {
	m, _ := ReadString(threeFields)
	other := m.Header
	m.Header.Remove("received")
	_ = m.Header.Add("X", "1")
	if other.Len() != 3 || other.Get("Received") != "a" || other.Has("X") {
		t.Errorf("the copy changed: %q", other.String())
	}
}
