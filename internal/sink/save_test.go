package sink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/parsers/rules"
	"github.com/postrider-mail/postrider/smtp"
)

// saved are the messages in a folder, with what is known of each.
func saved(t *testing.T, dir string) (texts []string, about []Taken) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Error(name, info.Mode(), err)
		}
		switch filepath.Ext(name) {
		case ".eml":
			texts = append(texts, string(text))
			if _, err := os.Stat(strings.TrimSuffix(name, ".eml") + ".json"); err != nil {
				t.Error(err)
			}
		case ".json":
			var taken Taken
			if err := json.Unmarshal(text, &taken); err != nil {
				t.Fatal(err)
			}
			about = append(about, taken)
		default:
			t.Error("left over:", name)
		}
	}
	return texts, about
}

// TestSave: a message is in a file, octet for octet, with what is known of it beside; also one that is refused then.
func TestSave(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "of", "need")
	f := &Faults{}
	if err := f.Set("", "@message reject to bob@ with note seen"); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	b, addr, _ := served(t, Receiving{Saver: &Saver{Dir: dir, Log: &log}, Faults: f})
	const text = "Subject: a\r\n\r\n.two\r\n\xff\r\n"
	if err := send(addr, "ann@x.test", text); err != nil {
		t.Fatal(err)
	}
	if err := send(addr, "bob@x.test", text); err == nil {
		t.Error("not refused")
	}
	texts, about := saved(t, dir)
	if len(texts) != 2 || texts[0] != text || texts[1] != text {
		t.Errorf("%q", texts)
	}
	slices.SortFunc(about, func(a, b Taken) int { return a.Received.Compare(b.Received) })
	one, other := about[0], about[1]
	if one.From != "a@b.test" || fmt.Sprint(one.To) != "[ann@x.test]" || one.Answer != "accepted" || one.Size != len(text) || one.Hash != hexSum([]byte(text)) || one.BodyHash != hexSum([]byte(".two\r\n\xff\r\n")) || one.Helo == "" || one.Client == "" || one.File == "" {
		t.Errorf("%+v", one)
	}
	if !strings.HasPrefix(other.Answer, "554 5.7.1") || other.Note != "seen" || one.Note != "" {
		t.Errorf("%+v", other)
	}
	if lines := strings.Split(strings.TrimSpace(log.String()), "\n"); len(lines) != 2 || !strings.Contains(lines[0], `"to":["ann@x.test"]`) {
		t.Errorf("%s", log.String())
	}
	if n := find(b, "", "").Total; n != 1 {
		t.Error(n)
	}
}

// TestSaveNames: what is sent again is there as often as its name has it.
func TestSaveNames(t *testing.T) {
	for hash, want := range map[HashOf]int{HashMessage: 2, HashFull: 4, HashAll: 5, "": 5} {
		dir := t.TempDir()
		_, addr, _ := served(t, Receiving{Saver: &Saver{Dir: dir, Hash: hash}})
		for _, m := range []struct{ to, text string }{{"a@x.test", "A: b\r\n\r\none\r\n"}, {"a@x.test", "A: b\r\n\r\none\r\n"}, {"b@x.test", "A: b\r\n\r\none\r\n"}, {"A@x.test", "A: b\r\n\r\none\r\n"}, {"a@x.test", "A: b\r\n\r\ntwo\r\n"}} {
			if err := send(addr, m.to, m.text); err != nil {
				t.Fatal(err)
			}
		}
		if texts, _ := saved(t, dir); len(texts) != want {
			t.Errorf("%q: %d files, want %d", hash, len(texts), want)
		}
	}
	for text, want := range map[string]HashOf{"": HashAll, "msg": HashMessage, "full": HashFull, "all": HashAll} {
		if h, err := ParseHashOf(text); err != nil || h != want {
			t.Error(h, err)
		}
	}
	if _, err := ParseHashOf("body"); err == nil {
		t.Error("not refused")
	}
}

// TestSaveFails: what cannot be saved is not accepted.
func TestSaveFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, s := range map[string]*Saver{"a folder": {Dir: file}, "a line": {Log: failing{}}} {
		b, addr, _ := served(t, Receiving{Saver: s})
		if err := send(addr, "a@x.test", "A: b\r\n\r\n"); err == nil || !strings.Contains(err.Error(), "452") {
			t.Errorf("%s: %v", what, err)
		}
		if n := find(b, "", "").Total; n != 0 {
			t.Errorf("%s: %d messages", what, n)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// TestSaveDirs: a rule says where a message is saved, and those after it in the session, until another one does; the number of folders is bounded.
func TestSaveDirs(t *testing.T) {
	dir := t.TempDir()
	f := &Faults{}
	text := fmt.Sprintf("@from set-with from one@ with savedir %s/one\n@to accept to two@ with savedir %s/two\n@to reject to no@ with savedir %s/two", dir, dir, dir)
	if err := f.Follow(slog.New(slog.DiscardHandler), nil, rules.Source{Name: "t", Text: text}); err != nil {
		t.Fatal(err)
	}
	s := &Saver{Dir: filepath.Join(dir, "usual")}
	_, addr, _ := served(t, Receiving{Faults: f, Saver: s})
	message := func(from, to string) []string {
		return []string{"MAIL FROM:<" + from + "@x.test>", "RCPT TO:<" + to + "@x.test>", "DATA", "A: b\r\n\r\n."}
	}
	got := mailtest.Talk(t, addr, append(append(append([]string{"EHLO c.test"}, message("x", "x")...), message("one", "x")...), append(message("x", "x"), message("x", "two")...)...)...)
	for _, answer := range got[1:] {
		if answer[0] > '3' {
			t.Errorf("%q", got)
		}
	}
	for name, want := range map[string]int{"usual": 1, "one": 2, "two": 1} {
		if texts, _ := saved(t, filepath.Join(dir, name)); len(texts) != want {
			t.Errorf("%s: %d", name, len(texts))
		}
	}
	for i := range mostSaveDirs {
		_, err := s.disk(filepath.Join(dir, fmt.Sprint(i)))
		if i < mostSaveDirs-3 != (err == nil) {
			t.Fatal(i, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestRulesOfTheAPI: who reaches the API neither reads files by rules, nor writes any.
func TestRulesOfTheAPI(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hidden words\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &Faults{}
	for _, text := range []string{"include " + secret, "reject from " + secret, "reject ip file:" + secret, "reject helo ./x", "@to accept all with savedir /tmp/x", "@to reject all; from a@ with savedir x"} {
		if err := f.Set("box", text); err == nil || !strings.Contains(err.Error(), "of the command line") || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestRefuseAll: every message is refused when it has come, and saved all the same.
func TestRefuseAll(t *testing.T) {
	dir := t.TempDir()
	b, addr, _ := served(t, Receiving{RefuseAll: true, Saver: &Saver{Dir: dir}})
	if err := send(addr, "a@x.test", "A: b\r\n\r\n"); err == nil || !strings.Contains(err.Error(), "554 5.7.1 No message is accepted here") {
		t.Error(err)
	}
	texts, about := saved(t, dir)
	if len(texts) != 1 || about[0].Answer == "accepted" || find(b, "", "").Total != 0 {
		t.Error(texts, about)
	}
}

// TestComeAgain: the first attempt of a sender for a recipient is refused, and the second is not.
func TestComeAgain(t *testing.T) {
	f := &Faults{}
	if err := f.Set("", "greylist to bob@\ngreylist header subject hi with message Later"); err != nil {
		t.Fatal(err)
	}
	_, addr, _ := served(t, Receiving{Faults: f})
	for i, c := range []struct{ to, text, want string }{
		{"bob@x.test", "A: b\r\n\r\n", "450"}, {"bob@x.test", "A: b\r\n\r\n", ""}, {"bob@y.test", "A: b\r\n\r\n", "450"}, {"bob@x.test", "A: b\r\n\r\n", ""}, {"ann@x.test", "A: b\r\n\r\n", ""},
		{"cid@x.test", "Subject: hi\r\n\r\n", "450 4.7.1 Later"}, {"cid@x.test", "Subject: hi\r\n\r\n", ""},
	} {
		err := send(addr, c.to, c.text)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d: %v, want %s", i, err, c.want)
		}
	}
	var a again
	for i := range mostAttempts + 1 {
		if a.try(attempt{from: fmt.Sprint(i)}) {
			t.Fatal(i)
		}
	}
	if len(a.had) > mostAttempts {
		t.Error(len(a.had))
	}
}

// TestWhatRulesSet: options and fields of rules that decide nothing are heeded, of all inboxes that are asked.
func TestWhatRulesSet(t *testing.T) {
	f := &Faults{}
	for inbox, text := range map[string]string{"": "@helo set-with helo plain.test with tls-opt off\ntag \"X-A: one\" all", "a@x.test": "tag \"X-B: two\" all\n@header accept all"} {
		if err := f.Set(inbox, text); err != nil {
			t.Fatal(err)
		}
	}
	b, addr, _ := served(t, Receiving{Faults: f, TLSConfig: ownTLS(t)})
	if got := mailtest.Talk(t, addr, "EHLO plain.test"); strings.Contains(got[1], "STARTTLS") {
		t.Errorf("%q", got)
	}
	if got := mailtest.Talk(t, addr, "EHLO other.test"); !strings.Contains(got[1], "STARTTLS") {
		t.Errorf("%q", got)
	}
	mailtest.Talk(t, addr, "EHLO c.test", "MAIL FROM:<>", "RCPT TO:<a@x.test>", "DATA", "A: b\r\n\r\n.")
	if list := find(b, "", "").Messages; len(list) != 1 || fmt.Sprint(list[0].Tags) != "[one two]" {
		t.Errorf("%+v", list)
	}
}

// TestYakkers: who does nothing is turned away for a time, and so is whom a rule names; others are not.
func TestYakkers(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	synctest.Test(t, func(t *testing.T) {
		y := &Yakkers{Count: 3, For: time.Minute}
		is := func(client netip.Addr, want bool) {
			t.Helper()
			if y.is(client, time.Now()) != want {
				t.Errorf("%v: %v", client, !want)
			}
		}
		for i := range 3 {
			is(a, false)
			y.add(a, false, time.Now())
			time.Sleep(time.Duration(i) * time.Second)
		}
		is(a, true)
		is(b, false)
		time.Sleep(57*time.Second - 1)
		is(a, true)
		time.Sleep(time.Nanosecond)
		is(a, false)
		y.add(a, false, time.Now())
		time.Sleep(time.Minute)
		y.add(a, false, time.Now()) // a new time begins
		y.add(a, false, time.Now())
		is(a, false)
		y.add(b, true, time.Now())
		is(b, true)
		for i := range 2 * mostYakkers {
			y.add(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), false, time.Now())
			if len(y.by) > mostYakkers {
				t.Fatal(len(y.by))
			}
		}
		none := &Yakkers{}
		none.add(a, false, time.Now())
		if none.is(a, time.Now()) {
			t.Error("nobody asked for it")
		}
		none.add(a, true, time.Now())
		time.Sleep(time.Hour - 1)
		if !none.is(a, time.Now()) {
			t.Error("of a rule, for an hour")
		}
	})
}

// becomes waits until the sessions of this host that are over have made it a yakker.
func becomes(t *testing.T, y *Yakkers) {
	t.Helper()
	for range 500 {
		if y.is(netip.MustParseAddr("127.0.0.1"), time.Now()) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("it is none")
}

// TestNothingDone: how far one has come is what counts.
func TestNothingDone(t *testing.T) {
	steps := []string{"EHLO c.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA", "A: b\r\n\r\n."}
	for i, least := range []Reached{ReachedHelo, ReachedFrom, ReachedTo, ReachedData, ReachedMessage} {
		for more, turned := range map[int]bool{0: true, 1: false} {
			var log bytes.Buffer
			y := &Yakkers{Count: 1, Least: least, Log: slog.New(slog.NewTextHandler(&log, nil))}
			_, addr, _ := served(t, Receiving{Yakkers: y})
			mailtest.Talk(t, addr, steps[:i+more]...)
			if turned {
				becomes(t, y)
			}
			if got := mailtest.Talk(t, addr, "EHLO c.test"); strings.HasPrefix(got[0], "421 4.7.0") != turned {
				t.Errorf("%v, %d steps: %q", least, i+more, got)
			}
		}
	}
	// What was refused is nothing; a message that was refused is one, but not where it must be accepted.
	f := &Faults{}
	if err := f.Set("", "@to reject to no@\n@message reject to late@\n@from accept from yak@ with make-yakker"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		least  Reached
		to     string
		turned bool
	}{{ReachedTo, "no", true}, {ReachedMessage, "late", false}, {ReachedAccepted, "late", true}, {ReachedAccepted, "bob", false}, {0, "no", true}, {0, "late", false}} {
		y := &Yakkers{Count: 1, Least: c.least}
		_, addr, _ := served(t, Receiving{Yakkers: y, Faults: f})
		send(addr, c.to+"@x.test", "A: b\r\n\r\n")
		if c.turned {
			becomes(t, y)
		}
		if got := mailtest.Talk(t, addr, "EHLO c.test"); strings.HasPrefix(got[0], "421") != c.turned {
			t.Errorf("%+v: %q", c, got)
		}
	}
	s := &Sessions{}
	var heard atomic.Int64
	_, addr, _ := served(t, Receiving{Faults: f, Sessions: s, Heard: func(*smtp.Session, byte, string) { heard.Add(1) }})
	mailtest.Talk(t, addr, "EHLO c.test", "MAIL FROM:<yak@x.test>", "NOOP")
	if got := mailtest.Talk(t, addr, "EHLO c.test"); !strings.HasPrefix(got[0], "421") {
		t.Errorf("%q", got)
	}
	if all := s.List(); len(all) != 1 || strings.Contains(fmt.Sprint(all[0].Lines), "NOOP") || int(heard.Load()) != len(all[0].Lines) {
		t.Errorf("%v, %d", all, heard.Load())
	}
	for i, name := range reachedNames[1:] {
		if r, err := ParseReached(name); err != nil || r != Reached(i+1) || r.String() != name {
			t.Error(r, err)
		}
	}
	if _, err := ParseReached("nothing"); err == nil {
		t.Error("not refused")
	}
}

// TestSlow: ten octets a second, within TLS one piece after that time, until the connection is closed.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for text, want := range map[string]time.Duration{"220 ok\r\n": 800 * time.Millisecond, "\x17" + strings.Repeat("x", 121): 10 * time.Second, "\x16" + strings.Repeat("x", 4000): 0, "\x17" + strings.Repeat("x", 9999): longestAnswer, "": 0} {
			in, out := net.Pipe()
			go io.Copy(io.Discard, out)
			c := &slowConn{Conn: in, gone: make(chan struct{})}
			began := time.Now()
			n, err := c.Write([]byte(text))
			if took := time.Since(began); n != len(text) || err != nil || took != want {
				t.Errorf("%.5q: %d, %v, %v", text, n, err, took)
			}
			c.Close()
			c.Close()
			began = time.Now()
			if n, err := c.Write([]byte(text)); text != "" && (n != 0 || err == nil) || text != "" && text[0] != 0x17 && time.Since(began) != 0 {
				t.Errorf("%.5q: %d, %v, closed", text, n, err)
			}
			out.Close()
		}
	})
}

// TestFollow: rules of files are read again when they have changed, with their patterns; what is wrong leaves those before.
func TestFollow(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("list", "@spam.test\n")
	write("rules", "@from reject from ./list\n")
	var log bytes.Buffer
	f := &Faults{}
	if err := f.Follow(slog.New(slog.NewTextHandler(&log, nil)), []string{filepath.Join(dir, "rules")}, rules.Source{Name: "more", Text: "@from reject from @more.test"}); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	ask := func(from string, want bool) {
		t.Helper()
		at = at.Add(2 * lookEvery)
		f.reread(at)
		d := f.eval(t.Context(), "", rules.AtFrom, &rules.Case{Text: map[rules.Fact][]string{rules.From: {from}}})
		if d.Refuses() != want {
			t.Errorf("%s: %v", from, d.Action)
		}
	}
	ask("a@spam.test", true)
	ask("a@other.test", false)
	ask("a@more.test", true)
	write("list", "@spam.test\n@other.test")
	ask("a@other.test", true)
	write("rules", "@from rejct all\n")
	ask("a@other.test", true)
	ask("a@other.test", true)
	if n := strings.Count(log.String(), "rules that have changed are not taken"); n != 1 {
		t.Errorf("told %d times: %s", n, log.String())
	}
	write("rules", "\n")
	ask("a@other.test", false)
	ask("a@more.test", true)
	write("rules", "@from stall from @new.test\n")
	ask("a@new.test", true)
	// What is set by the API holds until the next start.
	if err := f.Set("", "@from reject from @set.test"); err != nil {
		t.Fatal(err)
	}
	write("rules", "@from stall from @newer.test\n")
	ask("a@set.test", true)
	ask("a@newer.test", false)
	if err := f.Follow(slog.New(slog.DiscardHandler), []string{filepath.Join(dir, "none")}); err == nil {
		t.Error("a file that is not there")
	}
}

// TestTurnedAway: who is turned away has not come once more for nothing, nor has who did something, and a new time begins where one ends.
func TestTurnedAway(t *testing.T) {
	y := &Yakkers{Count: 2, For: time.Minute}
	r := &receiver{Receiving: Receiving{Yakkers: y}}
	client := netip.MustParseAddr("192.0.2.1")
	ends := func(v visit) int {
		s := &smtp.Session{}
		s.RemoteAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(client, 1))
		*visitOf(s) = v
		r.done(s, nil)
		return y.by[client].times
	}
	if n := ends(visit{yakker: true}) + ends(visit{reached: ReachedMessage}) + ends(visit{reached: ReachedAccepted}); n != 0 {
		t.Error(n)
	}
	if ends(visit{reached: ReachedData}) != 1 || ends(visit{}) != 2 {
		t.Error(y.by)
	}
	r.done(&smtp.Session{}, nil) // of a Unix socket
	if len(y.by) != 1 {
		t.Error(y.by)
	}
	now := time.Now()
	y = &Yakkers{Count: 2, For: time.Minute}
	y.add(client, false, now)
	y.add(client, false, now.Add(time.Minute-1))
	y.add(client, false, now.Add(time.Minute))
	if got := y.by[client]; got.times != 1 || !got.since.Equal(now.Add(time.Minute)) {
		t.Error(got)
	}
}

// TestFollowKept: rules of files are not kept in the folder, however often they have changed; nor are files looked at more than once a second.
func TestFollowKept(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "rules")
	write := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("@from reject from @one.test\n")
	b, err := OpenBox(filepath.Join(dir, "box"), Limits{}, Sorting{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	f := &Faults{}
	if err := f.Follow(slog.New(slog.DiscardHandler), []string{name}); err != nil {
		t.Fatal(err)
	}
	if err := f.KeepIn(b); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(time.Hour)
	f.reread(at)
	write("@from reject from @changed.test\n")
	refuses := func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.sets[""].rules.Eval(rules.AtFrom, &rules.Case{Text: map[rules.Fact][]string{rules.From: {"a@changed.test"}}}).Refuses()
	}
	if f.reread(at.Add(lookEvery - 1)); refuses() {
		t.Error("looked at again at once")
	}
	if f.reread(at.Add(lookEvery)); !refuses() {
		t.Error("not looked at again")
	}
	if err := f.Set("team", "@to reject all"); err != nil {
		t.Fatal(err)
	}
	if kept, err := b.KeptRules(); err != nil || len(kept) != 1 || kept["team"] != "@to reject all" {
		t.Error(kept, err)
	}
}
