package browser_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// harm are words that would do something in a page that took them for more than words.
var harm = []string{hostile, `"><svg onload=alert(3)>`, `javascript:alert(4)`, `</span><script>alert(5)</script>`, `{{alert(6)}}`, "\u202e<b>", `'-alert(7)-'`, `<iframe srcdoc="<script>alert(8)</script>">`}

// harass has the server write such words into its log: as names that nobody can log in by, as HELO, sender and recipient.
func (s *server) harass(t *testing.T) {
	t.Helper()
	c, err := net.Dial("tcp", s.smtp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	say := func(line string) {
		fmt.Fprint(c, line+"\r\n")
		for {
			reply, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if len(reply) < 4 || reply[3] != '-' {
				return
			}
		}
	}
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	for i, word := range harm {
		say("EHLO " + strings.ReplaceAll(word, " ", ""))
		say(fmt.Sprintf("MAIL FROM:<%q@far.test>", word))
		say(fmt.Sprintf("RCPT TO:<%q@mail.test>", word))
		say("RSET")
		form := url.Values{"name": {fmt.Sprint(i, word)}, "password": {"x"}}
		login, err := http.NewRequest(http.MethodPost, s.url+"/admin/login", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		login.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		login.Header.Set("Connection", "keep-alive") // as browsers do
		resp, err := http.DefaultClient.Do(login)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != http.StatusUnprocessableEntity {
			t.Fatal(resp.Status)
		}
	}
	say("QUIT")
}

// report leaves reports of other hosts, of each of the last days, with such words in them.
func (s *server) report(t *testing.T) {
	t.Helper()
	for day := range 7 {
		at := time.Now().UTC().AddDate(0, 0, -day)
		rows := []map[string]any{{"source": "192.0.2.1", "count": 40 + 7*day, "dkim": "pass", "from": "mail.test"}}
		for i, word := range harm[:2+day%3] {
			rows = append(rows, map[string]any{"source": fmt.Sprintf("203.0.113.%d", i), "count": 3 + i*day, "from": word, "disposition": "reject", "auth": "dkim=fail " + word, "reason": word})
		}
		text, err := json.Marshal(map[string]any{"kind": "dmarc", "received": at, "end": at, "sender": "dmarc@" + harm[0], "org": harm[1], "id": fmt.Sprint(day), "domain": "mail.test", "rows": rows,
			"sessions": []map[string]any{{"domain": "mail.test", "count": 90}, {"domain": harm[3], "failure": harm[4], "host": harm[5], "count": 2 + day, "detail": harm[0]}}})
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("%s-c-%032d.json", at.Format("20060102T150405Z"), day)
		if err := os.WriteFile(filepath.Join(s.dir, "data", "reports", name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWay: the way of messages, the log and the reports are shown without fault in every way, whatever strangers have
// written.
func TestWay(t *testing.T) {
	s, b := serve(t), open(t)
	s.wait(t, 3)
	s.harass(t)
	s.report(t)
	b.as(t, views[0])
	b.logIn(t, s.url+"/admin/", "ann")
	for _, path := range []string{"mail", "mail?term=sender1@mail.test", "mail?since=1h&to=mail.test", "mail?since=soon", "log", "log?level=warn", "log?what=logins", "reports", "reports/refused"} {
		for _, v := range views {
			b.as(t, v)
			b.see(t, s.url+"/admin/"+path, v)
			b.keep(t, "way-"+strings.Trim(strings.NewReplacer("?", "-", "/", "-", "=", "-", "&", "-", "@", "-").Replace(path), "-")+"-"+v.name)
		}
	}
	b.as(t, views[0])
	b.do(t, chromedp.Navigate(s.url+"/admin/log"), chromedp.WaitReady("body"))
	for _, words := range []string{"onload=alert(3)", `msg="login failed"`} {
		if text := ask[string](t, b, "document.body.innerText"); !strings.Contains(text, words) {
			t.Errorf("%s is not there:\n%s", words, text)
		}
	}
}

// TestTail: lines appear while the page is open, whatever they say; and by keyboard alone a message is found from there.
func TestTail(t *testing.T) {
	s, b := serve(t), open(t)
	b.as(t, views[0])
	b.logIn(t, s.url+"/admin/log", "ann")
	b.takeFaults()
	s.harass(t)
	const there = `[...document.querySelectorAll("#tail li")].some(l => l.innerText.includes("onload=alert(3)"))`
	for try := 0; !ask[bool](t, b, there); try++ {
		if try == 200 {
			t.Fatalf("no line has come:\n%s", ask[string](t, b, "document.body.innerText"))
		}
		b.do(t, chromedp.Sleep(100*1e6))
	}
	b.keep(t, "way-tail")
	if n := ask[int](t, b, `document.querySelectorAll("#tail script, #tail img, #tail svg, #tail iframe, #tail b").length`); n != 0 {
		t.Errorf("%d elements of strangers", n)
	}
	b.do(t, chromedp.Focus("#tail li:last-child a"), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(".way"))
	for _, f := range b.takeFaults() {
		t.Error(f)
	}
}

// TestTailPlain: without script the page loads itself again where it is asked to.
func TestTailPlain(t *testing.T) {
	s, b := serve(t), open(t)
	v := views[5]
	b.as(t, v)
	b.logIn(t, s.url+"/admin/log", "ann")
	b.see(t, s.url+"/admin/log?live=1", v)
	if got := ask[string](t, b, `document.querySelector("meta[http-equiv=refresh]").content`); got != "5" {
		t.Error(got)
	}
}
