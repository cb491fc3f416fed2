package rules

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// fixed is Facts that cost nothing to ask for.
type fixed struct {
	addr                         netip.Addr
	from, to, helo, host, nobody []string
	subject                      []string
}

func (f *fixed) Addr(Fact) netip.Addr { return f.addr }

func (f *fixed) Texts(fact Fact, _ string) ([]string, bool) {
	switch fact {
	case From, Author:
		return f.from, true
	case To:
		return f.to, true
	case Helo:
		return f.helo, true
	case Host, Signer:
		return f.host, true
	case Header:
		return f.subject, true
	}
	return f.nobody, true
}

func (f *fixed) Words(fact Fact, _ Words) (hold, known Words) { return 0, AllWords(fact) }
func (f *fixed) Number(Fact) (n int64, known bool)            { return 1000, true }
func (f *fixed) Listed(string, Fact) (listed, known bool)     { return false, true }
func (f *fixed) Time() time.Time                              { return time.Time{} }

func newFixed() *fixed {
	return &fixed{addr: netip.MustParseAddr("192.0.2.7"), from: []string{"ann@news.sender.example"}, to: []string{"bob@home.example"}, helo: []string{"mx.sender.example"}, host: []string{"mx.sender.example"}, subject: []string{"Hello"}}
}

// hundred is a hundred rules of all kinds, none of which is true.
func hundred(t testing.TB) *Set {
	t.Helper()
	var b strings.Builder
	for i := range 20 {
		fmt.Fprintf(&b, "reject from spam%d@other%d.example or from @.bad%d.example ip 10.%d.0.0/16\n", i, i, i, i)
		fmt.Fprintf(&b, "stall helo .dyn%d.example not host .good%d.example\n", i, i)
		fmt.Fprintf(&b, "reject to user%d@home.example (from-has bad or dns nodns) with message \"no %d\"\n", i, i)
		fmt.Fprintf(&b, "tag \"X-Rule: %d\" header subject *offer%d* spf fail\n", i, i)
		fmt.Fprintf(&b, "quarantine author @sender%d.example dmarc fail size >%dkB\n", i, i)
	}
	s, err := Parse("bench", b.String())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func BenchmarkHundredRules(b *testing.B) {
	s, f := hundred(b), newFixed()
	for _, p := range []Phase{AtConnect, AtTo, AtMessage} {
		b.Run(p.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d := s.Eval(p, f); d.Action != None {
					b.Fatal(d)
				}
			}
		})
	}
}

// TestNoAllocation: rules are evaluated without any, and so are those that refuse.
func TestNoAllocation(t *testing.T) {
	s, f := hundred(t), newFixed()
	refusing := parse(t, "set-with all with note x\nreject from @.example first 1000000 chance 100% with message no")
	for p := range phases {
		if n := testing.AllocsPerRun(100, func() { s.Eval(p, f); refusing.Eval(p, f) }); n != 0 {
			t.Errorf("%v: %v allocations", p, n)
		}
	}
}

// million writes a pattern file of a million entries.
func million(t testing.TB, line func(i int) string) string {
	t.Helper()
	var b strings.Builder
	for i := range 1_000_000 {
		b.WriteString(line(i))
		b.WriteByte('\n')
	}
	name := filepath.Join(t.TempDir(), "patterns")
	if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// mixed1 is an address, a domain or what is below one.
func mixed1(i int) string {
	switch i % 4 {
	case 0:
		return fmt.Sprintf("@.sub%d.spam.example", i)
	case 1:
		return fmt.Sprintf("@domain%d.example", i)
	}
	return fmt.Sprintf("somebody%d@domain%d.example", i, i%1000)
}

func BenchmarkMillion(b *testing.B) {
	for op, name := range map[string]string{
		"from": million(b, mixed1),
		"ip":   million(b, func(i int) string { return fmt.Sprintf("%d.%d.%d.0/25", 11+i>>16, i>>8&255, i&255) }),
	} {
		text := "reject " + op + " " + name
		b.Run(op+"/load", func(b *testing.B) {
			for b.Loop() {
				if _, err := Parse("r", text); err != nil {
					b.Fatal(err)
				}
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			s, err := Parse("r", text)
			if err != nil {
				b.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/1e6, "MB-while-loading")
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-kept")
			runtime.KeepAlive(s)
		})
		b.Run(op+"/lookup", func(b *testing.B) {
			s, err := Parse("r", text)
			if err != nil {
				b.Fatal(err)
			}
			f := newFixed()
			senders := make([][]string, 1024)
			addrs := make([]netip.Addr, 1024)
			for i := range senders {
				senders[i] = []string{fmt.Sprintf("other%d@mail.host%d.example", i, i)}
				if i%2 == 0 {
					senders[i] = []string{mixed1(i * 977)}
				}
				addrs[i] = netip.AddrFrom4([4]byte{byte(11 + i%15), byte(i * 7), byte(i * 13), byte(i)})
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				f.from, f.addr = senders[i%1024], addrs[i%1024]
				s.Eval(AtFrom, f)
			}
		})
	}
}
