package trace

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// ringOf is a Ring with these lines, in small blocks.
func ringOf(octets int, log string) *Ring {
	r := NewRing(octets)
	for line := range strings.Lines(log) {
		r.Write([]byte(line))
	}
	return r
}

// mail are the lines of messages, numbered from from on, so many in each minute, at one time.
func mail(from, n, each int) string {
	var b strings.Builder
	for i := from; i < from+n; i++ {
		at := time.Date(2026, 11, 1, 0, i/each, 0, 0, time.UTC).Format("2006-01-02T15:04:05.000Z07:00")
		fmt.Fprintf(&b, "time=%s level=INFO msg=delivered service=smtp session=sess%07d id=sess%07d-1 from=sender%d@far%d.test message_id=<mail%d@far.test> user=\"\" remote=192.0.2.1:4 to=bob@mail.test mailbox=bob@mail.test octets=%d\n"+
			"time=%s level=INFO msg=\"smtp session\" service=smtp session=sess%07d remote=192.0.2.1:4 took=31.5ms accepted=1 helo=far.test commands.ehlo=1 commands.mail=1 commands.rcpt=1\n", at, i, i, i%1000, i%77, i, i, at, i)
	}
	return b.String()
}

// TestRing: what is in it is found as in a file, with lines that are packed and not, and what has gone is said.
func TestRing(t *testing.T) {
	const n = 3000
	all := mail(0, n, 1)
	r := ringOf(1<<20, all)
	if len(r.blocks) < 5 {
		t.Fatal(len(r.blocks), "blocks")
	}
	for _, q := range []Query{
		{Term: "sess0000007-1"}, {Term: "sess0002999"}, {Term: "<mail1500@far.test>"}, {From: "sender3@far3.test", Limit: 3}, {From: "FAR5.test", To: "bob@mail.test", Limit: 7},
		{Term: "sess0009999-1"}, {Limit: 20}, {To: "mail.test", Until: time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC), Limit: 5},
		{Term: "bob@mail.test", Since: time.Date(2026, 11, 2, 1, 0, 0, 0, time.UTC), Until: time.Date(2026, 11, 2, 1, 9, 0, 0, time.UTC)},
	} {
		want, err := Find(t.Context(), text(all), q)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Find(t.Context(), r, q)
		if err != nil || got.Left != nil {
			t.Fatal(err, got.Left)
		}
		if told(got) != told(want) || !got.More.Equal(want.More) {
			t.Errorf("%+v:\n%s%v\nwant\n%s%v", q, told(got), got.More, told(want), want.More)
		}
	}
	small := ringOf(r.packed/2, all)
	found, err := Find(t.Context(), small, Query{Term: "sess0000007-1"})
	if err != nil || len(found.Ways) > 0 || found.Left == nil || small.packed > r.packed/2 {
		t.Errorf("%v %v", found, err)
	}
	if found, err := Find(t.Context(), small, Query{Term: "sess0002999-1"}); err != nil || len(found.Ways) != 1 || found.Left != nil {
		t.Errorf("%v %v", found, err)
	}
}

func told(f *Found) string {
	var b strings.Builder
	for _, w := range f.Ways {
		w.Write(&b)
	}
	return b.String()
}

// TestRecent: lines that are in memory and in the file are told once, and those that have gone from memory too.
func TestRecent(t *testing.T) {
	const n = 2000
	all := mail(0, n, 150)
	name := filepath.Join(t.TempDir(), "mail.log")
	if err := os.WriteFile(name, []byte(all), 0o600); err != nil {
		t.Fatal(err)
	}
	whole := ringOf(1<<20, all)
	for _, octets := range []int{whole.packed / 2, 1 << 20, 1, 0} {
		log := Recent{Ring: ringOf(octets, all), Files: Files(name), Elsewhere: "it is elsewhere"}
		seen := make(map[string]int)
		if err := log.Lines(t.Context(), nil, func(l Line) bool { seen[l.text]++; return true }); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(all) {
			if n := seen[strings.TrimSuffix(line, "\n")]; n != 1 {
				t.Fatalf("with %d octets: %d times: %s", octets, n, line)
			}
		}
		log.Files = ""
		err := log.Lines(t.Context(), nil, func(l Line) bool { return true })
		if err == nil || !strings.Contains(err.Error(), "it is elsewhere") {
			t.Error(err)
		}
	}
}

// TestRingBounds: whatever is written, it takes no more than it may, and lines of any length are lines.
func TestRingBounds(t *testing.T) {
	r := NewRing(100_000)
	for i := range 300 {
		r.Write([]byte("level=INFO msg=x n=" + fmt.Sprint(i) + " random=" + strings.Repeat(fmt.Sprintf("%x", i*i*i*7919), 1+i*3) + "\n"))
		if r.packed > 100_000 {
			t.Fatal(r.packed)
		}
	}
	r.Write([]byte("<6>level=INFO msg=\"of the journal\" helo=\"x time=2020-01-01T00:00:00Z level=INFO msg=forged\"\n"))
	n := 0
	if err := r.Lines(t.Context(), nil, func(l Line) bool {
		if n++; n == 1 && (l.Event != "of the journal" || time.Since(l.Time) > time.Hour) {
			t.Errorf("%+v", l)
		}
		return true
	}); err != nil && n < 100 {
		t.Error(n, err)
	}
	r.Bound(0)
	if n, _ := r.Write([]byte("level=INFO msg=x\n")); n == 0 || len(r.blocks) > 0 || len(r.text) > 0 {
		t.Error("it keeps lines that it is not to keep")
	}
}

// TestWait: who waits for a line is woken by it, by the end, and by his own.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRing(1000)
		woken := make(chan bool)
		go func() { woken <- r.Wait(t.Context(), r.Next()) }()
		synctest.Wait()
		slog.New(slog.NewTextHandler(r, nil)).Info("x")
		if !<-woken {
			t.Error("a line")
		}
		if !r.Wait(t.Context(), 1) {
			t.Error("one that is there")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r.Wait(ctx, r.Next()) {
			t.Error("his own end")
		}
		go func() { woken <- r.Wait(t.Context(), r.Next()) }()
		synctest.Wait()
		r.Close()
		<-woken
		if r.Wait(t.Context(), r.Next()) {
			t.Error("after the end")
		}
	})
}

// TestDeadline: who has no time is told what he has not seen.
func TestDeadline(t *testing.T) {
	all := mail(0, 3000, 1)
	for name, log := range map[string]Log{"ring": ringOf(1<<20, all), "text": text(all)} {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		err := log.Lines(ctx, nil, func(Line) bool {
			if n++; n == 500 {
				cancel()
			}
			return true
		})
		left, ok := err.(*Left)
		if !ok || left.Before.IsZero() || n >= 3000 {
			t.Errorf("%s: %d lines, %v", name, n, err)
		}
		cancel()
	}
}

// BenchmarkRing is what a million lines take, what it costs to write one, and how long a page of newest results takes.
func BenchmarkRing(b *testing.B) {
	const n = 1_000_000
	r := NewRing(64 << 20)
	lines := strings.SplitAfter(mail(0, 50_000, 1), "\n")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	buf := make([]byte, 0, 1000)
	for i := range n {
		buf = append(buf[:0], lines[i%50_000]...)
		copy(buf[strings.Index(string(buf), "session=sess")+12:], fmt.Sprintf("%07d", i/2))
		if at := strings.Index(string(buf), "id=sess"); at > 0 {
			copy(buf[at+7:], fmt.Sprintf("%07d", i/2))
		}
		r.Write(buf)
	}
	each := time.Since(began) / n
	runtime.GC()
	runtime.ReadMemStats(&after)
	for name, q := range map[string]Query{
		"newest": {Limit: 20}, "id": {Term: "sess0400123-1"}, "id-newest": {Term: "sess0499999-1"}, "from": {From: "sender123@far46.test", Limit: 20}, "none": {Term: "nobody@nowhere.test"},
		"common": {From: "sender5@far5.test", To: "alice@mail.test"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Find(b.Context(), r, q); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(each), "ns/line")
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB")
			b.ReportMetric(float64(r.next-r.blocks[0].first), "lines")
		})
	}
}
