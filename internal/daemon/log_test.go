package daemon

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/trace"
)

// dialFrom is dial from an address of the host's own that the settings do not know.
func (w *testWorld) dialFrom(ip, listener string) *talk {
	w.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	c, err := d.Dial("tcp", w.Addrs()[listener].String())
	if err != nil {
		w.t.Skip("no second address: ", err)
	}
	w.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(forEver))
	return &talk{w.t, c, bufio.NewReader(c)}
}

// lively is a world in which most things have happened, and its log.
func lively(t *testing.T) (*testWorld, []trace.Line) {
	w, got := startRelaying(t)
	w.dial("127.0.0.1:0").play(`S: 220
		C: EHLO client.test
		S: 250
		C: MAIL FROM:<bob@mail.test> SIZE=9999999999
		S: 552
		C: MAIL FROM:<bob@mail.test>
		S: 250
		C: RCPT TO:<Away@mail.test>
		S: 250
		C: RCPT TO:<any@mail.test>
		S: 250
		C: DATA
		S: 354
		C: Message-ID: <m1@client.test>\r\n\r\nx\r\n.
		S: 250
		C: QUIT
		S: 221`)
	receive(t, got)
	k := w.dialFrom("127.64.0.2", "127.0.0.1:0")
	k.play("S: 220\nC: EHLO far.test\nS: 250\nC: MAIL FROM:<a b@far.test>\nS: 501\nC: MAIL FROM:<>\nS: 250\nC: RCPT TO:<x@else.test>\nS: 550")
	for i := range manyGuesses {
		k.play(fmt.Sprintf("C: RCPT TO:<\"no %d\"@second.test>\nS: 550", i))
		if i%4 == 3 { // or the session ends for its errors
			k.play("C: QUIT\nS: 221")
			k = w.dialFrom("127.64.0.2", "127.0.0.1:0")
			k.play("S: 220\nC: EHLO far.test\nS: 250\nC: MAIL FROM:<>\nS: 250")
		}
	}
	p := w.dial("127.0.0.4:0")
	p.play("S: +OK")
	p.startTLS("STLS", "+OK")
	p.play("C: USER alice@mail.test\nS: +OK\nC: PASS wrong\nS: -ERR [AUTH]\nC: USER alice@mail.test\nS: +OK\nC: PASS " + testPassword + "\nS: +OK")
	q := w.dial("127.0.0.4:0")
	q.play("S: +OK")
	q.startTLS("STLS", "+OK")
	q.play("C: USER alice@mail.test\nS: +OK\nC: PASS " + testPassword + "\nS: -ERR [IN-USE]\nC: QUIT\nS: +OK")
	p.play("C: QUIT\nS: +OK")
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	w.drained()
	w.stop()
	var lines []trace.Line
	for text := range strings.Lines(w.logs.String()) {
		l, ok := trace.Parse(text, time.Now())
		if !ok {
			t.Errorf("no line: %q", text)
		}
		if l.Facts["level"] != "DEBUG" {
			lines = append(lines, l)
		}
	}
	return w, lines
}

const manyGuesses = 20 // see package post

// TestLog: what became of a message, and of those that were refused, is in the log
// with every fact.
func TestLog(t *testing.T) {
	_, lines := lively(t)
	for _, want := range []string{
		"delivered service=smtp from=bob@mail.test to=Away@mail.test mailbox=alice@mail.test message_id=<m1@client.test> remote=127.0.0.1:",
		"queued service=smtp from=bob@mail.test to=Away@mail.test next=Friend@far.test queue=",
		"delivered service=smtp to=any@mail.test mailbox=bob@mail.test",
		"message accepted recipients=2 mailboxes=2 elsewhere=1 full=0",
		"attempt from=bob@mail.test to=Friend@far.test status=delivered code=250",
		"refused service=smtp command=MAIL from=bob@mail.test reply=552 5.3.4",
		"refused service=smtp command=MAIL from=a reply=501 remote=127.64.0.2:",
		"refused service=smtp command=RCPT to=x@else.test reply=550 5.7.1 Relaying denied remote=127.64.0.2:",
		"refused service=smtp command=RCPT to=\"no 3\"@second.test reply=550 5.1.1 No such user",
		"recipients are guessed service=smtp unknown=20 remote=127.64.0.2:",
		"login failed service=pop3 user=alice@mail.test",
		"refused service=pop3 command=PASS user=alice@mail.test reply=-ERR [IN-USE]",
		"smtp session service=smtp accepted=1 refused=1",
		"pop3 session service=pop3 user=alice@mail.test failed_logins=1",
	} {
		if !slices.ContainsFunc(lines, func(l trace.Line) bool { return says(l, want) }) {
			t.Errorf("no line says %q", want)
		}
	}
	for _, l := range lines {
		if id := l.Facts["id"]; l.Event == "refused" && l.Facts["command"] == "RCPT" && !strings.HasPrefix(id, l.Facts["session"]+"-") {
			t.Errorf("a refusal without its message: %v", l)
		}
	}
}

// says reports whether a line has the event and the facts that want begins with and
// lists. The values are beginnings.
func says(l trace.Line, want string) bool {
	keys := regexp.MustCompile(` [a-z_]+=`).FindAllStringIndex(want, -1)
	if !strings.HasPrefix(l.Event, want[:keys[0][0]]) {
		return false
	}
	for i, at := range keys {
		end := len(want)
		if i+1 < len(keys) {
			end = keys[i+1][0]
		}
		if v, has := l.Facts[want[at[0]+1:at[1]-1]]; !has || !strings.HasPrefix(v, want[at[1]:end]) {
			return false
		}
	}
	return true
}

// page is docs/log.md.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "log.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestLogPage: every line that is written in a lively world is in the page about the
// log, with these keys and no others.
func TestLogPage(t *testing.T) {
	rows := make(map[string]string) // keys by event
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*) \\| (?:info|warn).* \\| (.*?) ?\\|$").FindAllStringSubmatch(page(t), -1) {
		events, _, _ := strings.Cut(row[1], "`:")
		for event := range strings.SplitSeq(events, "`, `") {
			rows[strings.Trim(event, "`")] = row[2]
		}
	}
	if len(rows) < 30 {
		t.Fatalf("%d rows were understood: %v", len(rows), rows)
	}
	_, trouble, _ := strings.Cut(page(t), "## Trouble")
	_, lines := lively(t)
	seen := make(map[string]bool)
	for _, l := range lines {
		keys, listed := rows[l.Event]
		switch {
		case listed:
		case strings.Contains(trouble, "`"+l.Event+"`"):
			continue
		default:
			t.Errorf("the page does not list %q %v", l.Event, l.Facts)
			continue
		}
		seen[l.Event] = true
		for key := range l.Facts {
			if group, _, in := strings.Cut(key, "."); in {
				key = group + ".*"
			}
			if key != "level" && !strings.Contains(keys, "`"+key+"`") {
				t.Errorf("%q has the key %s, which the page does not list", l.Event, key)
			}
		}
		for _, key := range regexp.MustCompile("(?:^| )`(.*?)`").FindAllStringSubmatch(keys, -1) {
			if _, has := l.Facts[key[1]]; !has {
				t.Errorf("%q has no %s, which the page lists: %v", l.Event, key[1], l.Facts)
			}
		}
	}
	if len(seen) < 14 {
		t.Errorf("only %d kinds of line were seen: %v", len(seen), seen)
	}
}

// TestLogPageIsWhole: whatever a part of the server can write has a place in the page,
// and the page names nothing that nobody writes any more.
func TestLogPageIsWhole(t *testing.T) {
	call := regexp.MustCompile(`\.(?:Info|Warn|Error)\("([^"]+)"|(?:LogAttrs|LogError|\.failed|\.Log|NewRecord)\([^\n+]*?"([^"\n]+)"|(?:event :?= |say\()"([^"]+)"|refusal\("([^"]+)", err`)
	text, written := page(t), make(map[string]bool)
	for _, dir := range []string{"smtp", "smtp/queue", "smtp/queue/spool", "smtp/queue/relay", "smtp/queue/postgres", "parsers/lineserver", "pop3", "mailstore/database", "mailstore/maildir", "mailstore/postgres", "mailstore/sealed", "cipher/acme",
		"internal/accounts", "internal/daily", "internal/daemon", "internal/desk", "internal/greylist", "internal/logs", "internal/pages", "internal/post", "internal/reports", "internal/scan", "internal/selfservice", "internal/sign", "internal/verify", "internal/web", "internal/cluster", "internal/zone"} {
		files, err := filepath.Glob(filepath.Join("..", "..", dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range call.FindAllStringSubmatch(string(source), -1) {
				event := strings.Join(m[1:], "")
				if m[4] != "" {
					event += " failed"
				}
				if event == "dialogue" { // of the level debug
					continue
				}
				written[event] = true
				if !strings.Contains(text, "`"+event+"`") && m[4] == "" {
					t.Errorf("%s: the page about the log does not list %q", file, event)
				}
			}
		}
	}
	if len(written) < 70 {
		t.Errorf("%d kinds of line were found in the source: the search is broken", len(written))
	}
	_, lines, _ := strings.Cut(text, "## Lines about messages")
	lines, _, _ = strings.Cut(lines, "With `\"level\"")
	tables, trouble, _ := strings.Cut(lines, "## Trouble")
	var named []string
	for _, m := range regexp.MustCompile("(?m)^\\| (`.*?`)(?::.*?)? \\|").FindAllStringSubmatch(tables, -1) {
		named = append(named, strings.Split(strings.Trim(m[1], "`"), "`, `")...)
	}
	_, trouble, _ = strings.Cut(trouble, "\n* ")
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(trouble, -1) {
		named = append(named, m[1])
	}
	for _, event := range named {
		if !written[event] {
			t.Errorf("the page lists %q, which nothing writes", event)
		}
	}
}

// TestFail2ban: the expressions of the page find what they are for in lines that the
// server has written, also in the journal's, and nothing else.
func TestFail2ban(t *testing.T) {
	_, block, _ := strings.Cut(page(t), "failregex = ")
	block, _, _ = strings.Cut(block, "ignoreregex")
	var all []*regexp.Regexp
	for expr := range strings.Lines(strings.TrimSpace(block)) {
		expr = strings.ReplaceAll(strings.TrimSpace(expr), "<HOST>", `(?P<host>[0-9a-fA-F:.]+?)`)
		all = append(all, regexp.MustCompile(expr))
	}
	if len(all) != 5 {
		t.Fatalf("%d expressions", len(all))
	}
	w, _ := lively(t)
	found := make([]int, len(all))
	for text := range strings.Lines(w.logs.String()) {
		text = strings.TrimSpace(text)
		l, _ := trace.Parse(text, time.Now())
		_, untimed, _ := strings.Cut(text, " ")
		for i, expr := range all {
			m := expr.FindStringSubmatch(text)
			if m2 := expr.FindStringSubmatch("Nov 29 12:00:00 host postrider[7]: " + untimed); (m == nil) != (m2 == nil) {
				t.Errorf("found in one of file and journal: %s", text)
			}
			if m == nil {
				continue
			}
			found[i]++
			if host, _, _ := net.SplitHostPort(l.Facts["remote"]); host != m[expr.SubexpIndex("host")] {
				t.Errorf("%q is banned for %s", m[expr.SubexpIndex("host")], text)
			}
			if strings.Contains("smtp session pop3 session delivered queued message accepted attempt", l.Event) {
				t.Errorf("banned for: %s", text)
			}
		}
	}
	// One wrong password; a relay probe and the guesses; the news of them.
	if found[0] != 1 || found[3] != 1+manyGuesses || found[4] != 1 {
		t.Errorf("found %v", found)
	}
	// What a client chooses cannot have somebody else banned.
	for _, text := range []string{
		`level=INFO msg=refused service=smtp session=s id=s-1 command=RCPT from="a to=b reply=\"550 5.7.1 Relaying denied\" helo=x remote=192.0.2.1:1" to=b reply="250 yes" helo=x remote=192.0.2.9:1`,
		`level=INFO msg="smtp session" helo="level=WARN msg=\"login failed\" session=s service=smtp remote=192.0.2.1:1 user=" remote=192.0.2.9:1`,
		`level=INFO msg=refused service=smtp session=s id=s-1 command=RCPT from=a to="level=WARN msg=\"login failed\" session=s service=smtp remote=192.0.2.1:1 user=x" reply="501 no" helo=x remote=192.0.2.9:1`,
	} {
		for _, expr := range all {
			if m := expr.FindStringSubmatch(text); m != nil && m[expr.SubexpIndex("host")] == "192.0.2.1" {
				t.Errorf("%s bans another for %s", expr, text)
			}
		}
	}
	for _, text := range []string{
		`level=INFO msg=refused service=pop3 session=s remote=[2001:db8::1]:7 command=PASS user=alice@mail.test reply="-ERR [SYS/TEMP] too many failed logins, try again later"`,
		`level=WARN msg="login failed" session=s service=pop3 remote=[2001:db8::1]:7 user=x`,
		`level=INFO msg=refused service=submission session=s command=AUTH reply="454 4.7.0 Too many attempts, try again later" helo=x remote=[2001:db8::1]:7`,
	} {
		if !slices.ContainsFunc(all, func(expr *regexp.Regexp) bool {
			m := expr.FindStringSubmatch(text)
			return m != nil && m[expr.SubexpIndex("host")] == "2001:db8::1"
		}) {
			t.Errorf("not found: %s", text)
		}
	}
}
