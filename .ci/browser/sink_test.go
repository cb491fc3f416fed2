package browser_test

import (
	"bufio"
	"context"
	"fmt"
	"net/smtp"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// sinkServer is "postrider sink" with mail in it.
type sinkServer struct{ url, smtp string }

func catchMail(t *testing.T, args ...string) *sinkServer {
	t.Helper()
	file, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(file, append([]string{"sink", "--smtp", "127.0.0.1:0", "--pop3", "", "--http", "127.0.0.1:0"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	s := &sinkServer{}
	for lines := bufio.NewScanner(out); s.url == "" && lines.Scan(); {
		name, at, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case "SMTP":
			s.smtp = strings.TrimSpace(at)
		case "Pages":
			s.url = strings.TrimSpace(at)
		}
	}
	return s
}

func (s *sinkServer) send(t *testing.T, raw string, to ...string) {
	t.Helper()
	if to == nil {
		to = []string{"bob@mail.test"}
	}
	if err := smtp.SendMail(s.smtp, nil, "shop@mail.test", to, []byte(raw)); err != nil {
		t.Fatal(err)
	}
}

// pixel is a picture of four points.
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGNk+M/AwMDAxAADDAwMABUkAQQyOZ2yAAAAAElFTkSuQmCC"

// within is a message with HTML and a picture that it shows.
func within(subject, html string) string {
	return "From: " + hostile + " <a@mail.test>\r\nTo: \"" + strings.Repeat("long", 30) + "\" <bob@mail.test>\r\nSubject: " + subject + "\r\nX-Tags: " + hostile + ", nightly\r\nContent-Type: multipart/related; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + html + "\r\n--b\r\nContent-Type: image/png; name=\"<b>.png\"\r\nContent-ID: <p@x>\r\nContent-Transfer-Encoding: base64\r\n\r\n" + pixel + "\r\n--b--\r\n"
}

// evil is what mails try in order to run, to ask, or to lead a reader elsewhere.
var evil = []string{
	`<script>document.title='ran'</script><script src="/assets/sink.js"></script>`, `<svg onload=alert(1)><script>alert(2)</script></svg>`, `<iframe src="javascript:alert(3)"></iframe><iframe srcdoc="<script>alert(4)</script>"></iframe>`,
	`<base href="http://evil.test/"><meta http-equiv="refresh" content="0;url=http://evil.test/"><meta http-equiv=" Refresh" content="0;/">`, `<a href="javascript:alert(5)" onclick=alert(6)>x</a>`,
	`<object data="data:text/html,<script>alert(8)</script>"></object><embed src="http://evil.test/x.swf">`, `<math><mtext><style><img src=cid:p@x onerror=alert(9)></style></mtext></math>`,
	`<noscript><p title="</noscript><img src=cid:p@x onload=alert(10)>">`, `<details open ontoggle=alert(11)>x</details>`, `<textarea autofocus onfocus=alert(12)></textarea><video onerror=alert(13)></video>`,
	`<form action="/delete" method=post><input name=all value=yes><button>x</button></form>`, `<a href="/delete" target=_top>x</a>`, `<p style="position:fixed;inset:0;z-index:9">over all</p>`, "<plaintext><script>alert(14)</script>",
}

// TestSinkPages: the viewer shows every page in every way without fault, pictures of a mail included, and of a hostile mail
// nothing runs and nobody is asked.
func TestSinkPages(t *testing.T) {
	s, b := catchMail(t, "--label", "Stage"), open(t)
	for i := range 60 {
		s.send(t, "From: Reports <r@mail.test>\r\nSubject: Report "+strings.Repeat("x", i%7*20)+"\r\nX-Tags: nightly\r\n\r\nAll is well.\r\n")
	}
	s.send(t, "no header\r\n", strings.Repeat("long", 12)+"@"+strings.Repeat("domain.", 20)+"test", "a/b@mail.test")
	for _, e := range evil {
		s.send(t, within(hostile, e+"<p>"))
	}
	s.send(t, within("Your order 482913", `<div style="max-width:600px"><img id=p src="cid:p@x" width=20 height=20><p>Your code is 482913</p><a href="https://mail.test/x">Confirm</a></div>`))
	b.walk(t, s.url, 12)
	b.as(t, views[0])
	b.see(t, s.url, views[0])
	for i, url := range b.links(t, s.url+"message/")[:len(evil)+1] {
		b.see(t, url, views[0])
		if title := ask[string](t, b, "document.title"); title == "ran" {
			t.Errorf("%d: a script ran", i)
		}
		b.keep(t, fmt.Sprintf("sink-evil-%d", i))
		if at := ask[string](t, b, "location.href"); at != url {
			t.Errorf("%d: led to %s", i, at)
		}
	}
	for _, tab := range []string{"text", "headers", "parts", "links", "check", "source", "html&width=phone"} {
		for _, v := range []view{views[0], views[2]} {
			b.as(t, v)
			b.see(t, ask[string](t, b, "location.href.split('?')[0]")+"?tab="+tab, v)
			b.keep(t, "sink-tab-"+strings.ReplaceAll(tab, "&", "-")+"-"+v.name)
		}
	}
}

// TestSinkPicture: a picture that came with a mail is seen in the viewer's frame.
func TestSinkPicture(t *testing.T) {
	s, b := catchMail(t), open(t)
	s.send(t, within("x", `<img src="cid:p@x" onload="alert(1)" width=20 height=20>`))
	b.as(t, views[0])
	b.see(t, s.url+"view/latest", views[0])
	b.do(t, chromedp.WaitReady("iframe"))
	b.keep(t, "sink-picture")
}

// TestSinkLive: mail that comes is on the page without anybody's doing, each once.
func TestSinkLive(t *testing.T) {
	s, b := catchMail(t), open(t)
	b.as(t, views[0])
	b.see(t, s.url, views[0])
	for range 20 {
		s.send(t, "Subject: live\r\n\r\n")
	}
	ctx, stop := context.WithTimeout(b.ctx, time.Minute)
	defer stop()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](`document.querySelectorAll("table.messages tbody tr").length == 20`)); err != nil {
		t.Fatal(err)
	}
	if n := ask[int](t, b, `new Set([...document.querySelectorAll("table.messages a")].map(a => a.href)).size`); n != 20 {
		t.Errorf("%d different ones", n)
	}
	if f := b.takeFaults(); len(f) > 0 {
		t.Error(f)
	}
}

// TestSinkKeys: messages are found, gone through and opened without a mouse, also while others come.
func TestSinkKeys(t *testing.T) {
	s, b := catchMail(t), open(t)
	for _, subject := range []string{"three", "two", "one"} {
		s.send(t, "Subject: "+subject+"\r\n\r\n")
	}
	b.as(t, views[0])
	b.see(t, s.url, views[0])
	focus := func() string { return ask[string](t, b, "document.activeElement.innerText") }
	for _, c := range []struct{ key, want string }{{"j", "one"}, {"j", "two"}, {"j", "three"}, {"j", "three"}, {"k", "two"}} {
		if b.do(t, chromedp.KeyEvent(c.key)); focus() != c.want {
			t.Errorf("%s: at %q", c.key, focus())
		}
	}
	s.send(t, "Subject: zero\r\n\r\n")
	ctx, stop := context.WithTimeout(b.ctx, time.Minute)
	defer stop()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](`document.querySelectorAll("table.messages tbody tr").length == 4`)); err != nil {
		t.Fatal(err)
	}
	if focus() != "two" {
		t.Errorf("after another came: at %q", focus())
	}
	b.do(t, chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(".tabs"))
	b.says(t, "two")
	b.do(t, chromedp.KeyEvent("u"), chromedp.WaitVisible("table.messages"), chromedp.KeyEvent("/"))
	b.do(t, chromedp.SendKeys("input[type=search]", "subject:junk"+kb.Enter), chromedp.WaitVisible(`[role=search] a`))
	b.says(t, "Nothing was found.")
	if f := b.takeFaults(); len(f) > 0 {
		t.Error(f)
	}
}

// TestUserMail: the viewer shows users the mail of the server itself, pictures included, and nothing of it runs.
func TestUserMail(t *testing.T) {
	s, b := serve(t), open(t)
	(&sinkServer{smtp: s.smtp}).send(t, within("Your order", `<img src="cid:p@x" onload="alert(1)" width=20 height=20>`+strings.Join(evil[:6], "")+`<p>hello`))
	b.as(t, views[0])
	b.logIn(t, s.url+"/account/", "bob@mail.test")
	for _, v := range []view{views[0], views[3]} {
		b.as(t, v)
		b.see(t, s.url+"/account/mail/", v)
		b.keep(t, "account-mail-"+v.name)
		message := b.links(t, s.url+"/account/mail/message/")[0]
		for _, tab := range []string{"html", "check", "source"} {
			b.see(t, message+"?tab="+tab, v)
			b.keep(t, "account-mail-"+tab+"-"+v.name)
		}
	}
	b.says(t, "Your order")
	if f := b.takeFaults(); len(f) > 0 {
		t.Error(f)
	}
}
