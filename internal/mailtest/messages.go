package mailtest

import (
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Messages makes messages whose lines begin, end and hold their odd octets
// around the edges of buffers: what carries messages must not depend on where
// its buffers end.
type Messages struct {
	// Edges are the sizes of the buffers on the way.
	Edges []int
	// Line is the longest line, with its end; 0 means any length.
	Line int
	// Wild messages may have CR and LF alone, NUL and octets over 127, and lack
	// a last line end.
	Wild bool
	// Count is how many there are at most, and For how long they take, if the
	// clock goes; 0 means 400 and half a second.
	Count int
	For   time.Duration
}

// Rand is the source of chance of a test. It logs the seed; POSTRIDER_SEED repeats a run.
func Rand(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	if s := os.Getenv("POSTRIDER_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("POSTRIDER_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// Each yields the messages, and the source of chance they came from, which the
// test should use as well. It logs the seed; POSTRIDER_SEED repeats a run.
func (m Messages) Each(t testing.TB) iter.Seq2[*rand.Rand, string] {
	r := Rand(t)
	if m.Count == 0 {
		m.Count = 400
	}
	if m.For == 0 {
		m.For = 500 * time.Millisecond
	}
	return func(yield func(*rand.Rand, string) bool) {
		begun := time.Now()
		for n := 0; n < m.Count && (n < 10 || time.Since(begun) < m.For); n++ {
			if !yield(r, m.make(r)) {
				return
			}
		}
	}
}

// tame are lines that mean something to somebody on the way; wild are those that
// no line protocol lets through as they are.
var (
	tame = []string{
		".\r\n", "..\r\n", ".x\r\n", "..x\r\n", "\r\n", "\r\n\r\n", "\r\n.\r\n", "x\r\n", ". \r\n", "a.\r\n",
		"From a@b Thu Jan  1 00:00:00 1970\r\n", ">From x\r\n", ">>From x\r\n", "\r\nFrom x\r\n", "Content-Length: 5\r\n", "\t.\r\n",
	}
	wild = []string{
		".\n", "\n.\n", "\r.\r", "\r", "\n", "\r\r\n", "\n\r\n", "\r\n.", "\r\n.\r", ".\r.\n", "\x00\r\n", "\xff.\r\n", "\r\n.\n", "\n.\r\n", "x",
	}
)

func (m Messages) make(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("Subject: x\r\n")
	if r.IntN(4) > 0 {
		b.WriteString("\r\n")
	}
	for range 1 + r.IntN(3) {
		edge := m.Edges[r.IntN(len(m.Edges))]
		at := b.Len()/edge*edge + edge*r.IntN(2) + edge/(1+r.IntN(2)) - 4 + r.IntN(9)
		m.fill(r, &b, at-b.Len())
		for range 1 + r.IntN(3) {
			odd := tame
			if m.Wild && r.IntN(2) == 0 {
				odd = wild
			}
			b.WriteString(odd[r.IntN(len(odd))])
		}
	}
	if s := b.String(); !m.Wild && !strings.HasSuffix(s, "\r\n") {
		b.WriteString("\r\n")
	}
	return b.String()
}

// fill adds n octets of ordinary lines, each different, so that none can be
// taken for another.
func (m Messages) fill(r *rand.Rand, b *strings.Builder, n int) {
	longest := []int{78, 998, 1 << 20}[r.IntN(3)]
	if m.Line > 0 {
		longest = min(longest, m.Line)
	}
	for n > 0 {
		k := min(n, longest)
		if n-k == 1 { // no room for a line end
			k--
		}
		if n -= k; k < 2 {
			return
		}
		text := strconv.Itoa(b.Len()) + " "
		b.WriteString(strings.Repeat(text, k/len(text)+1)[:k-2] + "\r\n")
	}
}

// Pieces gives src's octets in pieces: of 1, 2 or 3 near the beginning and the
// edges, of some, of about edge octets, or as they come, as chance will have it. It
// spoils whatever of its buffer it does not fill, as any reader may: a slice of a
// buffered reader's buffer that is used after the next read then shows.
func Pieces(r *rand.Rand, src io.Reader, edge int) io.Reader {
	return &pieces{src: src, size: Sizes(r, edge)}
}

type pieces struct {
	src  io.Reader
	size func(at int) int
	at   int
}

// Read implements io.Reader.
func (s *pieces) Read(p []byte) (int, error) {
	size := s.size(s.at)
	n, err := s.src.Read(p[:min(len(p), size)])
	s.at += n
	spoil(p[n:min(len(p), n+32*size)]) // not all, for the sake of speed
	return n, err
}

// Conn is c read in such pieces.
func Conn(r *rand.Rand, c net.Conn, edge int) net.Conn { return conn{c, Pieces(r, c, edge)} }

type conn struct {
	net.Conn
	pieces io.Reader
}

// Read implements io.Reader.
func (c conn) Read(p []byte) (int, error) { return c.pieces.Read(p) }

// Sizes chooses a way to cut text into pieces: what it returns is the size of the
// piece that begins at an octet.
func Sizes(r *rand.Rand, edge int) func(at int) int {
	r = rand.New(rand.NewPCG(r.Uint64(), r.Uint64())) // for another goroutine, perhaps
	switch way := r.IntN(6); way {
	case 0, 1, 2:
		const near = 24
		return func(at int) int {
			half := edge / 2
			if to := half - at%half; at > near && to < half-near && to > near {
				return to - near
			}
			return way + 1
		}
	case 3:
		return func(int) int { return 1 + r.IntN(200) }
	case 4:
		return func(int) int { return max(1, edge/(1+r.IntN(3))-3+r.IntN(7)) }
	}
	return func(int) int { return 1 << 24 }
}

// WritePieces writes text to w in pieces as Pieces would give them, and spoils
// each when w has had it, as the caller of any writer may.
func WritePieces(r *rand.Rand, w io.Writer, text string, edge int) error {
	size := Sizes(r, edge)
	for at := 0; at < len(text); {
		p := []byte(text[at:min(len(text), at+size(at))])
		at += len(p)
		if n, err := w.Write(p); err != nil || n != len(p) {
			return err
		}
		spoil(p)
	}
	return nil
}

func spoil(p []byte) {
	for i := range p {
		p[i] = 0xff
	}
}

// Corpus are the files in dir, or in the directory that POSTRIDER_CORPUS names: all
// are taken for messages.
func Corpus(t testing.TB, dir string) (names, texts []string) {
	t.Helper()
	if other := os.Getenv("POSTRIDER_CORPUS"); other != "" {
		dir = other
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		names, texts = append(names, path), append(texts, string(b))
		return err
	})
	if err != nil || len(texts) == 0 {
		t.Fatalf("%d messages in %s, %v", len(texts), dir, err)
	}
	return names, texts
}

// Differ says where two texts part, in few words; it is empty if they do not.
func Differ(got, want string) string {
	if got == want {
		return ""
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	near := func(s string) string { return strconv.Quote(s[max(0, at-20):min(len(s), at+20)]) }
	return "at octet " + strconv.Itoa(at) + " of " + strconv.Itoa(len(want)) + ": got " + near(got) + " (" + strconv.Itoa(len(got)) + " in all), want " + near(want)
}
