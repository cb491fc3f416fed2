package maildir

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestNames(t *testing.T) {
	n, err := newNamer()
	if err != nil {
		t.Fatal(err)
	}
	n.host = cleanHost(strings.Repeat("very-long.host/name:x,", 10))
	when := time.Unix(1700000000, 42000)
	base := n.next(when)
	if !validUID(base) || !isOurs(base) {
		t.Errorf("next gave %q", base)
	}
	if other := n.next(when); other == base {
		t.Errorf("%q twice", base)
	}
	f := parseName(base + sizeFields(10, 12, false, "", "") + ":2,FS")
	if f.uid != base || f.disk != 10 || f.wire != 12 || f.exact || f.flags != "FS" || f.sec != 1700000000 {
		t.Errorf("parseName: %+v", f)
	}
	f = parseName(base + sizeFields(10, 10, true, "", "a/b:c,%"))
	if f.uid != "a/b:c,%" || !f.exact || f.wire != 10 {
		t.Errorf("parseName: %+v", f)
	}
}

func TestForeignNames(t *testing.T) {
	for _, c := range []struct {
		name       string
		uid        string // "" for a hash
		disk, wire int64
	}{
		{"1204680122.27c448.host", "1204680122.27c448.host", -1, -1},
		{"1204680122.M1P2.host,S=5,W=6:2,S", "1204680122.M1P2.host", 5, 6},
		{"1204680122.M1P2.host,S=5:2,", "1204680122.M1P2.host", 5, -1},
		{"1204680122.M1P2.host,S=x,W=-1,W=+3:2,", "1204680122.M1P2.host", -1, -1},
		{"1204680122.M1P2.host,S=99999999999999999999", "1204680122.M1P2.host", -1, -1},
		{"1204680122.M1P2.host,Q=1,,W=:1,xx", "1204680122.M1P2.host", -1, -1},
		{"with space", "", -1, -1},
		{strings.Repeat("n", 71), "", -1, -1},
		{"bad,U=%zz", "bad", -1, -1},
		{"\xff\xfe", "", -1, -1},
	} {
		f := parseName(c.name)
		if c.uid == "" && len(f.uid) == 40 {
			f.uid = ""
		}
		if f.uid != c.uid || f.disk != c.disk || f.wire != c.wire {
			t.Errorf("parseName(%q) = %+v", c.name, f)
		}
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("1.M000001P0123456789abQ1.h,S=1,W=2,U=a%2fb:2,S")
	f.Add(":")
	f.Add(",S=,W=,X=,U=")
	f.Fuzz(func(t *testing.T, name string) {
		if got := parseName(name); !validUID(got.uid) {
			t.Fatalf("parseName(%q).uid = %q", name, got.uid)
		}
	})
}

// FuzzLines: what folds comes back by unfolding, in whatever pieces, and the
// size foretold is the size that comes.
func FuzzLines(f *testing.F) {
	for _, s := range []string{"", "a\r\nb\r\n", "\r\r\n", "\n", "\r", "a\r", "x\r\n\r\n\ry"} {
		f.Add([]byte(s), uint8(1), uint8(1))
	}
	f.Fuzz(func(t *testing.T, msg []byte, in, out uint8) {
		var fold folder
		var disk []byte
		for rest := msg; len(rest) > 0; {
			piece := rest[:min(int(in)+1, len(rest))]
			rest = rest[len(piece):]
			var ok bool
			if disk, _, ok = fold.fold(disk, piece); !ok {
				return // kept exactly
			}
		}
		if fold.pending {
			disk = append(disk, '\r')
		}
		r := newLineReader(io.NopCloser(bytes.NewReader(disk)))
		defer r.Close()
		var back bytes.Buffer
		if _, err := io.CopyBuffer(&back, struct{ io.Reader }{r}, make([]byte, int(out)+1)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(back.Bytes(), msg) {
			t.Fatalf("%q became %q by way of %q", msg, back.Bytes(), disk)
		}
		d, w, err := wireSize(iotest.OneByteReader(bytes.NewReader(disk)))
		if err != nil || d != int64(len(disk)) || w != int64(len(msg)) {
			t.Fatalf("wireSize = %d, %d, %v; want %d, %d", d, w, err, len(disk), len(msg))
		}
	})
}
