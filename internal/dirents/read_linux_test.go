package dirents

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBroken: an answer that is cut, or whose lengths lead nowhere, is an error and no endless loop.
func TestBroken(t *testing.T) {
	entry := func(size int, name string) []byte {
		b := append(make([]byte, 19), name...)
		binary.NativeEndian.PutUint16(b[16:], uint16(size))
		return append(b, 0)
	}
	good := entry(21, "a")
	for _, tt := range []struct {
		name string
		buf  []byte
		ok   bool
		n    int
	}{
		{"whole", good, true, 1},
		{"two", append(good[:21:21], good...), true, 2},
		{"no length", entry(0, "a"), false, 0},
		{"no name", entry(19, "a"), false, 0},
		{"too long", entry(22, "a"), false, 0},
		{"cut behind the first", append(good[:21:21], good[:19]...), false, 1},
		{"cut before its length", append(good[:21:21], good[:17]...), false, 1},
		{"empty name", entry(20, ""), true, 1},
	} {
		n := 0
		if ok := each("", tt.buf, func(*Entry) { n++ }); ok != tt.ok || n != tt.n {
			t.Errorf("%s: %v, %d names", tt.name, ok, n)
		}
	}
}

// TestKind: a file is asked what it is only where its directory does not know.
func TestKind(t *testing.T) {
	for dtype, want := range map[byte]struct{ regular, asked bool }{
		unix.DT_REG: {true, false}, unix.DT_UNKNOWN: {false, true}, unix.DT_DIR: {}, unix.DT_LNK: {}, unix.DT_FIFO: {}, unix.DT_SOCK: {}, 99: {},
	} {
		if k := kind(dtype); k.IsRegular() != want.regular || (k == unknown) != want.asked {
			t.Errorf("%d: %v", dtype, k)
		}
	}
}
