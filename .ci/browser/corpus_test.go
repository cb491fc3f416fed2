package browser_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/chromedp/chromedp"
)

// corpus are two hundred words that would do something in a page that took them for more than words: what runs, in what it has to break out of. Each
// that runs calls alert, which the browser tells of.
func corpus() (all []string) {
	for _, out := range []string{"", `">`, `'>`, `</title></textarea></script>`, `-->`, `" autofocus x="`, `\";`, "`>"} {
		for _, run := range []string{
			`<script>alert(1)</script>`, `<SCRIPT/x>alert(1)</SCRIPT>`, `<img src=x onerror=alert(1)>`, `<svg/onload=alert(1)>`, `<svg><script>alert(1)</script></svg>`,
			`<iframe srcdoc="<script>alert(1)</script>">`, `<iframe src=javascript:alert(1)>`, `<a href=javascript:alert(1) autofocus onfocus=alert(1)>x</a>`, `<body onload=alert(1)>`,
			`<details open ontoggle=alert(1)>`, `<video><source onerror=alert(1)></video>`, `<input autofocus onfocus=alert(1)>`, `onmouseover=alert(1)`, `javascript:alert(1)`,
			`<base href=//far.test/>`, `<meta http-equiv=refresh content=0;url=//far.test/>`, `<link rel=stylesheet href=//far.test/x>`, `<style>@import"//far.test/x";</style>`,
			`<form action=//far.test/><button>x</button></form>`, `<math><mtext><img src=x onerror=alert(1)></mtext></math>`, `{{alert(1)}}${alert(1)}`, `<!--<img src="--><img src=x onerror=alert(1)>`,
			`<object data=javascript:alert(1)>`, "\u202e<b>\u2028alert(1)", `&lt;script&gt;alert(1)&#60;/script&#62;`,
		} {
			all = append(all, out+run)
		}
	}
	return all
}

// brings has such words refused as HELO, sender and recipient, and puts a message into the queue that is full of them.
func (s *server) brings(t *testing.T, words []string) {
	t.Helper()
	c, err := net.Dial("tcp", s.smtp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	hear := func() string {
		for {
			reply, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if len(reply) < 4 || reply[3] != '-' {
				return reply
			}
		}
	}
	say := func(line string) string {
		fmt.Fprint(c, line+"\r\n")
		return hear()
	}
	hear()
	for _, word := range words {
		say("EHLO " + strings.ReplaceAll(word, " ", ""))
		say(fmt.Sprintf("MAIL FROM:<%q@far.test> SMTPUTF8", word)) // some are too long
		say(fmt.Sprintf("RCPT TO:<%q@mail.test>", word))
		say("RSET")
		for _, line := range []string{"MAIL FROM:<x@far.test> SMTPUTF8", "RCPT TO:<y@far.test>", "DATA",
			fmt.Sprintf("From: %q <x@far.test>\r\nTo: y@far.test\r\nSubject: %s\r\nMessage-ID: <%s@far.test>\r\nContent-Type: application/octet-stream; name=%q\r\nContent-Disposition: attachment; filename=%[4]q\r\n\r\n%[2]s\r\n.",
				word, word, strings.ReplaceAll(word, " ", ""), word)} {
			if reply := say(line); reply[0] != '2' && reply[0] != '3' {
				t.Fatalf("%q: %s", line, reply)
			}
		}
	}
	say("QUIT")
}

// TestCorpus: two hundred such words as HELO, sender, recipient, author, subject, Message-ID and name of a file do nothing on any page that shows them, nor on those behind
// the first, and the log has them without a raw control character.
func TestCorpus(t *testing.T) {
	s, b := serve(t), open(t)
	all := corpus()
	if len(all) != 200 {
		t.Fatalf("%d words", len(all))
	}
	for from := 0; from < len(all); from += 8 {
		s.brings(t, all[from:from+8])
	}
	v := views[0]
	b.as(t, v)
	b.logIn(t, s.url+"/admin/", "ann")
	for _, path := range []string{"admin/mail", "admin/log", "admin/log?level=warn", "admin/queue", "admin/"} {
		b.see(t, s.url+"/"+path, v)
		if n := ask[int](t, b, `[...document.querySelectorAll("main script, main iframe, main object, main base, main style, main meta, main [onerror], main [onload], main [onfocus], main a[href^='javascript:']")].filter(e => !/\/assets\//.test(e.src || "")).length`); n != 0 {
			t.Errorf("%s: %d elements of strangers", path, n)
		}
	}
	log, err := os.ReadFile(filepath.Join(s.dir, "postrider.log"))
	if err != nil || !strings.Contains(string(log), "alert(1)") {
		t.Fatal(err, "nobody has written them down")
	}
	if at := strings.IndexFunc(string(log), func(r rune) bool { return r != '\n' && (unicode.IsControl(r) || r == 0x202e || r == 0x2028) }); at >= 0 {
		t.Errorf("a control character in the log: %.200q", log[max(0, at-100):])
	}
	// The pages behind the first, as far as they go.
	b.do(t, chromedp.Navigate(s.url+"/admin/mail"), chromedp.WaitReady("body"))
	for range 5 {
		next := ask[string](t, b, `(document.querySelector('a[href*="after="]') || {href: ""}).href`)
		if next == "" {
			break
		}
		b.see(t, next, v)
	}
}
