//go:build unix

package rfc2822

import (
	"bufio"
	"bytes"
	"net/mail"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/textproto"
)

// contest times several ways to do the same, in turns, so that whatever else
// the machine does hits all of them alike, and in processor time, the collector's
// included. It reports what the first took, and how many times as long each other.
func contest(b *testing.B, names []string, ways ...func()) {
	took := make([]time.Duration, len(ways))
	const turn = 400
	for b.Loop() {
		for i, way := range ways {
			start := processorTime()
			for range turn {
				way()
			}
			took[i] += processorTime() - start
		}
	}
	b.ReportMetric(float64(took[0].Nanoseconds())/float64(b.N)/turn, "ns/message")
	b.ReportMetric(0, "ns/op")
	for i := range names {
		b.ReportMetric(float64(took[i+1])/float64(took[0]), "x-"+names[i])
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// headerOf returns the header section of a delivered newsletter, cut down or
// built up to about size octets, and a body.
func headerOf(tb testing.TB, size int) string {
	m, _ := ReadString(sample(tb, "delivered.eml"))
	var b strings.Builder
	for _, name := range []string{"Date", "From", "To", "Subject", "Message-ID", "MIME-Version", "Content-Type"} {
		f, _ := m.Header.First(name)
		b.WriteString(f.Raw())
	}
	for i := 0; b.Len() < size; i++ {
		f := m.Header.at(i % m.Header.Len())
		if b.Len()+len(f.Raw()) > size+size/4 {
			f, _ = NewField("X-Filler-"+strconv.Itoa(i), strings.Repeat("word ", 12))
		}
		b.WriteString(f.Raw())
	}
	return b.String() + "\r\nbody\r\n"
}

// The header scan beside what people use, for messages of several sizes.
func BenchmarkContestHeader(b *testing.B) {
	for _, size := range []int{1 << 10, 4 << 10, 16 << 10, 128 << 10} {
		text := []byte(headerOf(b, size))
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			whole := string(text)
			contest(b, []string{"ReadString", "net/mail", "go-message", "go-message-entity"},
				func() {
					if m, err := Read(bytes.NewReader(text)); err != nil || m.Header.Len() < 7 {
						b.Fatal(err)
					}
				}, func() {
					if m, err := ReadString(whole); err != nil || m.Header.Len() < 7 {
						b.Fatal(err)
					}
				}, func() {
					if m, err := mail.ReadMessage(bytes.NewReader(text)); err != nil || len(m.Header) < 7 {
						b.Fatal(err)
					}
				}, func() {
					if h, err := textproto.ReadHeader(bufio.NewReader(bytes.NewReader(text))); err != nil || h.Len() < 7 {
						b.Fatal(err)
					}
				}, func() {
					if e, err := message.Read(bytes.NewReader(text)); err != nil || e.Header.Len() < 7 {
						b.Fatal(err)
					}
				})
		})
	}
}

// A full walk of the samples that both can read, all leaves decoded, beside go-message.
func BenchmarkContestWalk(b *testing.B) {
	texts := walkable(b)
	ours, theirs := 0, 0
	contest(b, []string{"go-message"},
		func() {
			walkOurs(b, texts[ours%len(texts)])
			ours++
		}, func() {
			walkGoMessage(texts[theirs%len(texts)])
			theirs++
		})
}

// What a stranger may write, at one and at two lengths: x-2N is how many times
// as long twice as much takes; 2 is linear, 4 quadratic.
func BenchmarkGrowth(b *testing.B) {
	const n = 1 << 18
	words := func(s string) func(int) string {
		return func(n int) string { return strings.Repeat(s, n/len(s)) }
	}
	body := func(head, s string) func(int) string {
		return func(n int) string { return head + "\r\n\r\n" + strings.Repeat(s, n/len(s)) }
	}
	addresses := func(s string) { ReadAddressList(s); _, _ = ParseAddressList(s) }
	walk := func(s string) {
		m, _ := ReadString(s)
		_, _ = m.Content(Limits{Parts: 1 << 20}, 1<<30)
	}
	for _, c := range []struct {
		name string
		text func(int) string
		read func(string)
	}{
		{"dots of a phrase", words("a."), addresses}, {"quotes of a phrase", words(`"a"`), addresses}, {"addresses", words("a@b, "), addresses},
		{"brackets", words("<"), addresses}, {"comments", words("(,"), addresses}, {"routes", words("<@a:"), addresses},
		{"message ids", words("<a@b> "), func(s string) { ParseMessageIDs(s) }}, {"open quotes of ids", words(`<\">`), func(s string) { ParseMessageIDs(s) }},
		{"encoded words", words("=?utf-8?q?a?= "), func(s string) { DecodeWords(s) }}, {"half encoded words", words("=?a?q?"), func(s string) { DecodeWords(s) }},
		{"parameters", words(`;a="`), func(s string) { ParseMediaType("a/b" + s) }}, {"trace", words("from a (b) ;"), func(s string) { ParseReceived(s) }},
		{"fields", words("A: 1\r\n"), func(s string) { m, _ := ReadString(s); _ = m.Header.Add("X", "1") }},
		{"parts", body("Content-Type: multipart/mixed; boundary=b", "--b\r\n\r\nx\r\n"), walk},
		{"UTF-7", body("Content-Type: text/plain; charset=utf-7", "+-a"), walk}, {"quoted-printable", body("Content-Transfer-Encoding: quoted-printable", "= "), walk},
		{"base64", body("Content-Transfer-Encoding: base64", "="), walk}, {"ISO-2022-JP", body("Content-Type: text/plain; charset=iso-2022-jp", "\x1b$B\x1b(B"), walk},
	} {
		b.Run(c.name, func(b *testing.B) {
			once, twice := c.text(n), c.text(2*n)
			var short, long time.Duration
			for b.Loop() {
				at := processorTime()
				c.read(once)
				mid := processorTime()
				c.read(twice)
				short, long = short+mid-at, long+processorTime()-mid
			}
			b.ReportMetric(float64(long)/float64(short), "x-2N")
		})
	}
}
