package dkim

import (
	"context"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// counter counts questions, and answers them late or never.
type counter struct {
	zone
	n     atomic.Int32
	delay time.Duration
	deaf  bool // does not hear that nobody waits any more
}

func (c *counter) LookupTXT(ctx context.Context, name string) ([]string, error) {
	c.n.Add(1)
	if c.deaf {
		time.Sleep(c.delay)
		ctx = context.Background()
	}
	select {
	case <-time.After(c.delay):
		return c.zone.LookupTXT(ctx, name)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestManySignatures: of a thousand signatures eight are looked at, and a key is asked for once.
func TestManySignatures(t *testing.T) {
	s, _, z := setup(t, 1)
	one := signed(t, s, simpleMessage, 100)
	top := one[:len(one)-len(simpleMessage)]
	c := &counter{zone: z}
	v := &Verifier{Resolver: c}
	r := v.Verify(context.Background(), strings.Repeat(top, 1000)+simpleMessage[:strings.Index(simpleMessage, "\r\n\r\n")+2])
	io.WriteString(r, "Hello  Bob,\r\n\r\nhello. \r\n\r\n")
	results := r.Results()
	if len(results) != 8 || r.Skipped() != 992 || c.n.Load() != 1 {
		t.Errorf("%d results, %d skipped, %d questions", len(results), r.Skipped(), c.n.Load())
	}
	if statuses(results) != strings.Repeat("pass,", 7)+"pass" {
		t.Error(statuses(results))
	}
	v.MaxSignatures = 3
	if n := len(verify(v, strings.Repeat(top, 10)+simpleMessage, 100)); n != 3 {
		t.Errorf("%d results, want 3", n)
	}
}

// TestBodyOnce: signatures of the same form share a hash of the body; only those with another l= have their own.
func TestBodyOnce(t *testing.T) {
	s, v, _ := setup(t, 1)
	m := signed(t, s, simpleMessage, 100)
	top := m[:len(m)-len(simpleMessage)]
	head, _ := parted(simpleMessage)
	r := v.Verify(context.Background(), strings.Repeat(top, 5)+strings.Replace(top, "v=1;", "v=1; l=3;", 1)+head)
	if r.bodies[0] != nil || len(r.bodies[1].sums) != 2 {
		t.Errorf("simple %v, relaxed %d", r.bodies[0], len(r.bodies[1].sums))
	}
	r.Results()
}

// TestDeadline: what has no answer in time is a temporary error, the rest counts.
func TestDeadline(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := &Signer{Domain: "example.com", Keys: testKeys()}
			z := published(t, s)
			slow := &counter{zone: z, delay: time.Hour, deaf: deaf}
			v := &Verifier{Resolver: resolverFunc(func(ctx context.Context, name string) ([]string, error) {
				if strings.HasPrefix(name, "r.") {
					return slow.LookupTXT(ctx, name)
				}
				return z.LookupTXT(ctx, name)
			})}
			start := time.Now()
			m := signed(t, s, simpleMessage, 100)
			r := verify(v, m, 100)
			if took := time.Since(start); took != 5*time.Second {
				t.Errorf("took %v", took)
			}
			if statuses(r) != "temperror,pass" || r[0].Reason != reasonDNSTime {
				t.Errorf("%+v", r)
			}
			if deaf {
				time.Sleep(2 * time.Hour) // its goroutine ends
			}
		})
	}
}

type resolverFunc func(context.Context, string) ([]string, error)

func (f resolverFunc) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return f(ctx, name)
}

// TestParallel: all keys of a message are asked for at the same time, while the body comes.
func TestParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Signer{Domain: "example.com", Keys: testKeys()}
		v := &Verifier{Resolver: &counter{zone: published(t, s), delay: 2 * time.Second}}
		head, body := parted(signed(t, s, simpleMessage, 100))
		start := time.Now()
		r := v.Verify(t.Context(), head)
		write(r, body, 1)
		if time.Since(start) != 0 {
			t.Error("the body waits for the DNS")
		}
		if got := statuses(r.Results()); got != "pass,pass" || time.Since(start) != 2*time.Second {
			t.Errorf("%s after %v", got, time.Since(start))
		}
	})
}

// TestGivenUp: no question outlives the message.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, z := setup(t, 1)
		v := &Verifier{Resolver: &counter{zone: z, delay: time.Hour}}
		head, _ := parted(signed(t, s, simpleMessage, 100))
		ctx, cancel := context.WithCancel(t.Context())
		r := v.Verify(ctx, head)
		cancel()
		if got := r.Results(); statuses(got) != "temperror" {
			t.Errorf("%+v", got)
		}
	})
}

// TestDNSErrors: what is no answer is no missing key.
func TestDNSErrors(t *testing.T) {
	s, _, z := setup(t, 1)
	m := signed(t, s, simpleMessage, 100)
	name := "e._domainkey.example.com"
	record := z[name][0]
	for _, test := range []struct {
		texts  []string
		err    error
		status Status
		reason Reason
	}{
		{nil, &net.DNSError{IsNotFound: true}, PermError, reasonNoKey},
		{nil, fmt.Errorf("wrapped: %w", &net.DNSError{IsNotFound: true}), PermError, reasonNoKey},
		{nil, &net.DNSError{Err: "server misbehaving", IsTemporary: true}, TempError, reasonDNS},
		{nil, &net.DNSError{Err: "i/o timeout", IsTimeout: true}, TempError, reasonDNSTime},
		{nil, errors.New("no resolver"), TempError, reasonDNS},
		{nil, context.DeadlineExceeded, TempError, reasonDNSTime},
		{nil, nil, PermError, reasonNoKey},
		{[]string{"v=spf1 -all"}, nil, PermError, reasonNoKey},
		{[]string{"v=DKIM1; k=rsa"}, nil, PermError, reasonKeyMissing},
		{[]string{"v=spf1 -all", record}, nil, Pass, ""},
		{[]string{record, "v=spf1 -all"}, nil, Pass, ""},
		{[]string{record, record}, nil, PermError, reasonSeveralKeys},
		{[]string{"v=DKIM2; p=" + record[22:]}, nil, PermError, reasonKeyVersion},
		{[]string{record + strings.Repeat(" ", 4096)}, nil, PermError, reasonKeyTooLong},
		{[]string{`"` + record + `"`}, nil, PermError, reasonTagSyntax},
	} {
		v := &Verifier{Resolver: resolverFunc(func(context.Context, string) ([]string, error) { return test.texts, test.err })}
		r := verify(v, m, 100)
		if len(r) != 1 || r[0].Status != test.status || r[0].Reason != test.reason {
			t.Errorf("%.60q %v: %+v", test.texts, test.err, r)
		}
	}
}

// TestKeySizes: a stranger's key of any size costs no arithmetic outside the bounds.
func TestKeySizes(t *testing.T) {
	s, _, _ := setup(t, 0)
	m := signed(t, s, simpleMessage, 100)
	public := func(bits int, e int64) string {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		n.SetBit(n, 0, 1)
		der, err := asn1.Marshal(struct{ N, E *big.Int }{n, big.NewInt(e)})
		if err != nil {
			t.Fatal(err)
		}
		return "v=DKIM1; p=" + base64.StdEncoding.EncodeToString(der)
	}
	for _, test := range []struct {
		bits   int
		e      int64
		status Status
		reason Reason
	}{
		{512, 65537, Policy, reasonKeySmall},
		{1023, 65537, Policy, reasonKeySmall},
		{1024, 65537, Fail, reasonSignature},
		{2048, 65537, Fail, reasonSignature},
		{2048, 3, Fail, reasonSignature},
		{4096, 65537, Fail, reasonSignature},
		{4097, 65537, Policy, reasonKeyLarge},
		{20000, 65537, Policy, reasonKeyLarge},
		{65536, 1<<31 - 1, PermError, reasonKeyTooLong},
		{2048, 1, Policy, reasonKeyExponent},
		{2048, 4, Policy, reasonKeyExponent},
		{2048, 1<<31 - 1, Policy, reasonKeyExponent},
		{2048, 1 << 40, PermError, reasonKeyForm},
		{2048, 0, PermError, reasonKeyForm},
	} {
		z := zone{"r._domainkey.example.com": {public(test.bits, test.e)}}
		v := &Verifier{Resolver: z}
		r := verify(v, m, 100)
		if r[0].Status != test.status || r[0].Reason != test.reason {
			t.Errorf("%d bits, e=%d: %+v", test.bits, test.e, r[0])
		}
		if r[0].Reason == reasonKeyLarge && r[0].Bits != test.bits {
			t.Errorf("%d bits: %d", test.bits, r[0].Bits)
		}
		if test.status == Policy {
			key, _ := parseKey(z["r._domainkey.example.com"][0])
			if key.Public != nil {
				t.Errorf("%d bits, e=%d: the key can be calculated with", test.bits, test.e)
			}
		}
	}
}

// TestCacheBound: the cache of keys stays small, and keys that are no good are in it as well.
func TestCacheBound(t *testing.T) {
	var c keyCache
	for i := range 10 * generation {
		c.parse(fmt.Sprintf("v=DKIM1; n=%d; p=", i))
		if n := len(c.young) + len(c.old); n > 2*generation {
			t.Fatalf("%d keys", n)
		}
	}
	good, _ := records(t)
	first, _ := c.parse(good)
	if again, _ := c.parse(good); again != first {
		t.Error("a young key is read anew")
	}
	for i := range generation {
		c.parse(fmt.Sprintf("v=DKIM1; n=again %d; p=", i))
	}
	if again, _ := c.parse(good); again != first {
		t.Error("an old key is read anew")
	}
	if _, wrong := c.parse("nonsense"); wrong.reason != reasonTagSyntax {
		t.Error(wrong)
	}
	if p, ok := c.young["nonsense"]; !ok || p.wrong.reason != reasonTagSyntax {
		t.Error("nonsense is read anew each time")
	}
	c.parse(strings.Repeat("x", maxRecord+1))
	if _, ok := c.young[strings.Repeat("x", maxRecord+1)]; ok {
		t.Error("a long record is kept")
	}
}

// TestLengths: what is just within a bound is read, and what is one longer is not.
func TestLengths(t *testing.T) {
	good, _ := records(t)
	for pad, ok := range map[int]bool{maxRecord: true, maxRecord + 1: false} {
		record := good + "; n="
		record += strings.Repeat("x", pad-len(record))
		if _, err := ParseKey(record); (err == nil) != ok {
			t.Errorf("record of %d octets: %v", len(record), err)
		}
		hasFatal(t, "long record", CheckRecords([]string{record}, nil), !ok)
	}
	label := strings.Repeat("a", 49) + "."
	long := strings.Repeat(label, 5) + "com" // 253 octets
	if _, ok := canonicalName(long); !ok || len(long) != maxName {
		t.Errorf("%d octets are no name", len(long))
	}
	if _, ok := canonicalName("a" + long); ok {
		t.Error("254 octets are a name")
	}
	s, v, _ := setup(t, 1)
	m := signed(t, s, simpleMessage, 10)
	domain := long[50:] // 203 octets
	for n, want := range map[int]Reason{maxName - len("._domainkey.") - len(domain): reasonNoKey, maxName - len("._domainkey.") - len(domain) + 1: reasonSelector} {
		changed := strings.Replace(strings.Replace(m, "d=example.com;", "d="+domain+";", 1), "s=e;", "s="+strings.Repeat("s", n)+";", 1)
		if r := verify(v, changed, 10); r[0].Reason != want {
			t.Errorf("selector of %d octets: %+v", n, r[0])
		}
	}
}

// TestAllocs: a message with one signature costs few allocations, and the size of its body none.
func TestAllocs(t *testing.T) {
	v, head, body := benchMessage(t)
	octets := []byte(body)
	count := func(n int) float64 {
		return testing.AllocsPerRun(100, func() {
			r := v.Verify(t.Context(), head)
			for range n {
				r.Write(octets)
			}
			r.Results()
		})
	}
	if n := count(1); n > 60 {
		t.Errorf("%v allocations", n)
	}
	// Pools lose a part of what they keep now and then, and on purpose under the race detector.
	if one, many := count(1), count(1000); many > one+20 {
		t.Errorf("%v allocations for one piece, %v for a thousand", one, many)
	}
}

// TestConcurrent: one Verifier and one Signer serve many messages at the same time.
func TestConcurrent(t *testing.T) {
	s := &Signer{Domain: "example.com", Keys: testKeys()[1:]}
	v := &Verifier{Resolver: published(t, s)}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if r := verify(v, signed(t, s, simpleMessage, 7), 7); statuses(r) != "pass" {
					t.Errorf("%+v", r)
				}
			}
		})
	}
	wg.Wait()
}

// TestPooled: what is used again knows nothing of the message before, and what a very long header
// needed is not kept.
func TestPooled(t *testing.T) {
	const secret = "X-Secret: of somebody else\r\n"
	h := newHeader(secret+"From: a@b.test\r\n", 2)
	h.sum(sha256.New(), "from:x-secret", false, -1)
	h.free()
	if h.text != "" || len(h.ids)+len(h.fields)+len(h.lowest)+len(h.turn)+len(h.buf) != 0 {
		t.Errorf("%+v is left of a header", h)
	}
	for range 10 { // whichever the pool hands out
		next := newHeader("From: c@d.test\r\n", 1)
		if n := next.count("X-Secret"); n != 0 || len(next.fields) != 1 {
			t.Errorf("%d fields of another message", n)
		}
		next.free()
	}
	for name, text := range map[string]string{
		"many fields": strings.Repeat("A: b\r\n", mostPooledFields+1), "a long field": strings.Repeat("a", mostPooledOctets+1) + ": b\r\n",
	} {
		h := newHeader(text, strings.Count(text, "\n"))
		h.free()
		if h.text == "" {
			t.Errorf("%s: the index is kept", name)
		}
	}
	b := newBody(false)
	b.Write([]byte("kept"))
	b.free()
	if next := newBody(false); len(next.buf) != 0 || cap(next.buf) != bodyBuffer {
		t.Errorf("a buffer begins with %d of %d octets", len(next.buf), cap(next.buf))
	}
}
