package mailtest

import (
	"errors"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"testing"
)

// Edge fails the test unless good says yes to limit-1 and limit, and no to limit+1:
// what stands beyond a limit is easily told from what stands far below it, and it is
// the limit itself that is got wrong.
func Edge(t testing.TB, what string, limit int, good func(n int) bool) {
	t.Helper()
	for n, want := range map[int]bool{limit - 1: true, limit: true, limit + 1: false} {
		if got := good(n); got != want {
			t.Errorf("%s: %d with a limit of %d: %v", what, n, limit, got)
		}
	}
}

// Octets fails the test unless a function that looks at a text agrees with one that
// looks at an octet, for all 256 of them: alone, and at the beginning, in the middle
// and at the end of a text that is good without it. allowed is the function that is
// too simple to be wrong.
func Octets(t testing.TB, what string, around string, good func(s string) bool, allowed func(c byte) bool) {
	t.Helper()
	half := len(around) / 2
	for i := range 256 {
		c := string([]byte{byte(i)})
		texts := []string{c}
		if around != "" {
			texts = append(texts, c+around, around[:half]+c+around[half:], around+c)
		}
		for _, s := range texts {
			if got, want := good(s), allowed(byte(i)); got != want {
				t.Errorf("%s: %q: %v, want %v", what, s, got, want)
			}
		}
	}
}

// Descriptors fails the test if f, run twenty times, leaves any descriptor open. The
// collector, which closes what is forgotten, rests meanwhile. Other tests must not
// run beside it.
func Descriptors(t testing.TB, f func()) {
	t.Helper()
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err) // not Linux
		}
		return len(list)
	}
	f() // what is opened once and kept does not count
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	before := open()
	for range 20 {
		f()
	}
	if n := open(); n >= before+20 {
		t.Errorf("%d descriptors are open, %d were", n, before)
	}
}

// ErrNth is the error of the call that Nth makes fail.
var ErrNth = errors.New("mailtest: it fails this once")

// Nth is asked before each call of a double whether that call is to fail: one does, by
// its number. The zero value lets all succeed, and so does nil. It may be asked by
// several goroutines.
type Nth struct {
	mu   sync.Mutex
	left int
	what string
}

// Fail returns ErrNth for the call that is to fail, which it takes note of by what it
// is, and nil for all others.
func (n *Nth) Fail(what string) error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.left == 0 {
		return nil
	}
	if n.left--; n.left > 0 {
		return nil
	}
	n.what = what
	return ErrNth
}

// Failed is what the failed call was; empty if none has failed.
func (n *Nth) Failed() string {
	if n == nil {
		return ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.what
}

// EachCall runs f with the first call failing, then with the second, and so on, until f
// makes fewer calls than that. It returns what the failed calls were, in their order.
func EachCall(t *testing.T, f func(t *testing.T, n *Nth)) (failed []string) {
	t.Helper()
	for i := 1; ; i++ {
		n := &Nth{left: i}
		t.Run("call "+strconv.Itoa(i), func(t *testing.T) { f(t, n) })
		what := n.Failed()
		if what == "" {
			return failed
		}
		failed = append(failed, what)
	}
}

// FaultyConn is c, on which the Read or Write that n chooses fails: a Read then reads
// nothing, and a Write sends half of its octets or, where whole is set, all of them.
func FaultyConn(c net.Conn, n *Nth, whole bool) net.Conn { return &faultyConn{c, n, whole} }

type faultyConn struct {
	net.Conn
	n     *Nth
	whole bool
}

// Read implements io.Reader.
func (c *faultyConn) Read(p []byte) (int, error) {
	if err := c.n.Fail("read"); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write implements io.Writer.
func (c *faultyConn) Write(p []byte) (int, error) {
	if err := c.n.Fail("write"); err != nil {
		if !c.whole {
			p = p[:len(p)/2]
		}
		n, _ := c.Conn.Write(p)
		return n, err
	}
	return c.Conn.Write(p)
}
