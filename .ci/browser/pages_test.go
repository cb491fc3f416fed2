package browser_test

import (
	"bufio"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// server is a Postrider of its own with an administrator, an account and mail that waits.
type server struct {
	dir, url string
	smtp     string // address of a listener that relays for this host
}

const (
	password = "a long pass phrase"
	hostile  = `<img src=x onerror=alert(1)><script>alert(2)</script>`
)

// built is where the program is; it is removed in the end.
var built string

// program is the daemon as it is built, once for all tests.
var program = sync.OnceValues(func() (file string, err error) {
	if built, err = os.MkdirTemp("", "postrider-browser-"); err != nil {
		return "", err
	}
	file = filepath.Join(built, "postrider")
	build := exec.Command("go", "build", "-o", file, "./cmd/postrider")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return file, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// free is a port that nobody uses now.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serve starts the program; it ends with the test.
func serve(t *testing.T) *server {
	t.Helper()
	file, err := program()
	if err != nil {
		t.Fatal(err)
	}
	web := free(t)
	s := &server{dir: t.TempDir(), url: "http://" + web, smtp: free(t)}
	_, fetch, _ := strings.Cut(free(t), ":")
	_, send, _ := strings.Cut(free(t), ":")
	text := fmt.Sprintf(`{"server_name": "mx.mail.test", "data_dir": "data",
		"Listeners": [{"address": %q, "protocol": "smtp", "tls": "off"}, {"address": ":`+fetch+`", "protocol": "pop3"}, {"address": ":`+send+`", "protocol": "submission"}],
		"Accounts": {"bob@mail.test": {"quota": "200kB"}, "bob+junk@mail.test": ""}, "Aliases": {"team@mail.test": "bob@mail.test"}, "Domains": {"town.test": {}}, "SMTP": {"relay_from": ["127.0.0.1/32"], "tarpit": "0s"}, "Verify": {"check": false, "quarantine": "+junk"}, "DKIM": {"sign": false},
		"Queue": {"dns_servers": ["127.0.0.1:1"]}, "Web": {"listen": %q, "viewer": true}, "Log": {"file": "postrider.log"}, "Elsewhere": {"PasswdFiles": [{"file": "users", "domains": ["far-away.test"]}]}}`, s.smtp, web)
	if err := os.WriteFile(filepath.Join(s.dir, "users"), []byte("aaron:{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP\n"+strings.Repeat("w", 60)+":{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP::::::nologin\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "mail.conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(t, password+"\n", "admin", "add", "--stdin", "-c", s.dir, "ann")
	s.run(t, password+"\n", "user", "passwd", "--stdin", "-c", s.dir, "bob@mail.test")
	s.putAside(t)
	daemon := exec.Command(file, "serve", "-c", s.dir)
	said, err := daemon.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(said); lines.Scan(); {
			log.WriteString(lines.Text() + "\n")
		}
	}()
	t.Cleanup(func() {
		daemon.Process.Signal(os.Interrupt)
		<-done
		daemon.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	for _, address := range []string{web, s.smtp} {
		for try := 0; ; try++ {
			c, err := net.Dial("tcp", address)
			if err == nil {
				c.Close()
				break
			}
			if try == 300 {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	return s
}

// putAside puts messages of strangers where bob's junk is, and one into his mailbox that fills it.
func (s *server) putAside(t *testing.T) {
	t.Helper()
	keep := func(to, name, text string) {
		file := filepath.Join(s.dir, name+".eml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.run(t, "", "store", "import", "-c", s.dir, "--format", "eml", to, file)
	}
	for i := range 3 {
		keep("bob+junk@mail.test", fmt.Sprint("aside", i), fmt.Sprintf("X-Quarantine: %s\r\nReturn-Path: <%s@far.test>\r\nFrom: %s <x@far.test>\r\nSubject: %s%s\r\n\r\nx\r\n",
			"the domain far.test asks for it (p=quarantine)", strings.Repeat("w", 60), hostile, strings.Repeat("W", 100*i), hostile))
	}
	keep("bob@mail.test", "large", "Subject: x\r\n\r\n"+strings.Repeat("0123456789\r\n", 15500))
}

// run runs a command of the program.
func (s *server) run(t *testing.T, in string, args ...string) {
	t.Helper()
	file, err := program()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(file, args...)
	c.Stdin = strings.NewReader(in)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
}

// wait puts messages into the queue, whose words are a stranger's.
func (s *server) wait(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		from, to := fmt.Sprintf("sender%d@mail.test", i), fmt.Sprintf(`"<b>%d</b>"@far%d.test`, i, i)
		err := smtp.SendMail(s.smtp, nil, from, []string{to}, []byte("From: "+from+"\r\nMessage-ID: <"+hostile+"@x>\r\nSubject: "+hostile+"\r\n\r\nx\r\n"))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// logIn fills in the form by keyboard alone.
func (b *browser) logIn(t *testing.T, url, name string) {
	t.Helper()
	b.do(t, chromedp.Navigate(url), chromedp.WaitVisible("#name"),
		chromedp.SendKeys("#name", name), chromedp.SendKeys("#password", password+kb.Enter), chromedp.WaitVisible("form.who"))
}

// walk sees every page that can be reached below a prefix, in every way; of many of one kind, as entries of the queue are, the
// first ones.
func (b *browser) walk(t *testing.T, prefix string, least int) {
	t.Helper()
	const ofAKind, most = 3, 60
	seen, kinds, next := map[string]bool{}, map[string]int{}, []string{prefix}
	for len(next) > 0 && len(seen) < most {
		url := next[0]
		next = next[1:]
		if seen[url] || strings.Contains(url, "/assets/") || strings.Contains(url, "/api/") {
			continue
		}
		if path, _, asked := strings.Cut(url, "?"); asked || strings.Contains(strings.TrimPrefix(path, prefix), "/") {
			kind := path
			if !asked {
				kind = filepath.Dir(path)
			}
			if kinds[kind]++; kinds[kind] > ofAKind {
				continue
			}
		}
		seen[url] = true
		name := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.TrimPrefix(url, prefix), "-"), "-")
		for _, v := range views {
			b.as(t, v)
			b.see(t, url, v)
			b.keep(t, filepath.Base(strings.TrimSuffix(prefix, "/"))+"-"+fmt.Sprintf("%.40s", name)+"-"+v.name)
		}
		next = append(next, b.links(t, prefix)...)
	}
	if len(seen) < least {
		t.Errorf("%d pages were seen below %s, and there are %d at least", len(seen), prefix, least)
	}
}

// TestAdminPages: every page is shown without fault in every way, also with words of strangers that would do harm.
func TestAdminPages(t *testing.T) {
	s, b := serve(t), open(t)
	s.wait(t, 60)
	b.as(t, views[0])
	b.see(t, s.url+"/admin/", views[0])
	b.keep(t, "login")
	b.logIn(t, s.url+"/admin/", "ann")
	b.walk(t, s.url+"/admin/", 15)
}

// TestUserPages: an account sees its own pages, with nothing decided and with all of it, and no administrator's.
func TestUserPages(t *testing.T) {
	s, b := serve(t), open(t)
	b.as(t, views[0])
	b.logIn(t, s.url+"/account/", "bob@mail.test")
	b.walk(t, s.url+"/account/", 7)
	b.as(t, views[4])
	b.decide(t, s.url+"/account/")
	for _, page := range []string{"password", "devices", "devices/phone", "forward", "absence", "junk"} {
		for _, v := range views {
			b.as(t, v)
			b.see(t, s.url+"/account/"+page, v)
			b.keep(t, "account-"+strings.ReplaceAll(page, "/", "-")+"-decided-"+v.name)
		}
	}
	b.as(t, views[0])
	b.do(t, chromedp.Navigate(s.url+"/admin/"), chromedp.WaitVisible("#name"))
	if ask[bool](t, b, `!!document.querySelector("form.who")`) {
		t.Error("the account is in the pages of administrators")
	}
	b.logIn(t, s.url+"/admin/accounts/bob@mail.test", "ann") // who ends what its user has made
	b.see(t, s.url+"/admin/accounts/bob@mail.test", views[0])
	b.keep(t, "admin-account-devices")
	b.do(t, chromedp.Focus(`button[value="end"]`), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(".flash"))
	b.says(t, "is ended. Whoever was in by it is out.")
	for _, f := range b.takeFaults() {
		t.Error(f)
	}
}

// decide has a user decide something at each page, by keyboard alone.
func (b *browser) decide(t *testing.T, prefix string) {
	t.Helper()
	long := strings.Repeat("W", 30) + hostile[:20]
	b.do(t, chromedp.Navigate(prefix+"devices"), chromedp.WaitVisible("#f-name"),
		chromedp.SendKeys("#f-name", "phone"), chromedp.SendKeys("#f-password", password+kb.Enter), chromedp.WaitVisible(".flash"))
	b.keep(t, "account-devices-shown-once")
	b.do(t, chromedp.Navigate(prefix+"devices"), chromedp.WaitVisible("#f-name"),
		chromedp.SendKeys("#f-name", long), chromedp.SendKeys("#f-password", password+kb.Enter), chromedp.WaitVisible(".flash"))
	b.do(t, chromedp.Focus("#f-proof"), chromedp.SendKeys("#f-proof", password+kb.Enter), chromedp.WaitVisible(`input[name="only"][value="0"] + .field`))
	b.do(t, chromedp.Navigate(prefix+"devices/phone"), chromedp.WaitVisible("#f-name"),
		chromedp.SendKeys("#f-name", "tablet"), chromedp.SendKeys("#f-password", password+kb.Enter), chromedp.WaitVisible("svg.qr"))
	b.reads(t, ask[string](t, b, `[...document.querySelectorAll(".mono")].map(m => m.textContent).find(m => m.startsWith("http"))`))
	b.do(t, chromedp.Navigate(prefix+"junk"), chromedp.WaitVisible(`input[name="id"]`), chromedp.Focus(`input[name="id"]`), chromedp.KeyEvent(" "),
		chromedp.Focus(`button[value="release"]`), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(".flash"))
	b.do(t, chromedp.Navigate(prefix+"forward"), chromedp.WaitVisible("#f-to"),
		chromedp.SendKeys("#f-to", long[:30]+"@"+strings.Repeat("a-very-long-name.", 4)+"far.test"), chromedp.SendKeys("#f-password", password+kb.Enter), chromedp.WaitVisible("#f-code"))
	b.do(t, chromedp.Navigate(prefix+"absence"), chromedp.WaitVisible("#f-text"),
		chromedp.SendKeys("#f-text", "I am away.\n"+strings.Repeat("w", 200)), chromedp.SendKeys("#f-subject", hostile),
		chromedp.Focus(`button[value="keep"]`), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(".flash"))
	b.do(t, chromedp.Navigate(prefix+"password"), chromedp.WaitVisible("#f-old"),
		chromedp.SendKeys("#f-old", "wrong"), chromedp.SendKeys("#f-new", "another phrase"), chromedp.SendKeys("#f-again", "another phrase"+kb.Enter), chromedp.WaitVisible(".field.bad"))
	b.keep(t, "account-password-wrong")
	b.do(t, chromedp.Navigate(prefix+"password"), chromedp.WaitVisible("#f-old"),
		chromedp.SendKeys("#f-old", password), chromedp.SendKeys("#f-new", "another phrase"), chromedp.SendKeys("#f-again", "another phrase"+kb.Enter), chromedp.WaitVisible(".flash"))
	for _, f := range b.takeFaults() {
		if !strings.Contains(f, "422") { // what was wrong about a form
			t.Error(f)
		}
	}
}

// reads has a program that reads codes read the one on the page that is open, as a telephone does; where there is none nothing is looked at.
func (b *browser) reads(t *testing.T, want string) {
	t.Helper()
	zbar, err := exec.LookPath("zbarimg")
	if err != nil {
		t.Log("no zbarimg is here: nobody reads the code")
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "code.png")
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(zbar, "--quiet", "--raw", file).Output()
	if got := strings.TrimSpace(string(out)); err != nil || got != want {
		t.Errorf("the code says %q, not %q (%v)", got, want, err)
	}
}

// TestUnread: what was edited by hand and not read yet is told on the page of the settings, which has it read.
func TestUnread(t *testing.T) {
	s, b := serve(t), open(t)
	b.as(t, views[0])
	b.logIn(t, s.url+"/admin/settings", "ann")
	f, err := os.OpenFile(filepath.Join(s.dir, "mail.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString("\n// by hand\n")
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range views {
		b.as(t, v)
		b.see(t, s.url+"/admin/settings", v)
		b.keep(t, "admin-settings-unread-"+v.name)
	}
	b.do(t, chromedp.Focus(`button[value="reload"]`), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(".flash"))
	if ask[bool](t, b, `!!document.querySelector('button[value="reload"]')`) {
		t.Error("it is not read")
	}
}

// TestHold: an entry is held from its page by keyboard, with script and without, and the page says so.
func TestHold(t *testing.T) {
	for _, v := range []view{views[0], views[5]} {
		t.Run(v.name, func(t *testing.T) {
			s, b := serve(t), open(t)
			s.wait(t, 1)
			b.as(t, v)
			b.logIn(t, s.url+"/admin/queue", "ann")
			entries := b.links(t, s.url+"/admin/queue/")
			if len(entries) != 1 {
				t.Fatalf("links to entries: %q", entries)
			}
			b.see(t, entries[0], v)
			b.do(t, chromedp.Focus(`button[value="hold"]`), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(`.flash, button[value="hold!"], button[value="release"]`))
			b.do(t, chromedp.Navigate(entries[0]), chromedp.WaitReady("body"))
			if text := ask[string](t, b, "document.body.innerText"); !strings.Contains(strings.ToLower(text), "held") {
				t.Errorf("the page says:\n%s", text)
			}
			for _, f := range b.takeFaults() {
				t.Error(f)
			}
		})
	}
}

// TestLogOut: after it nothing of the session is left.
func TestLogOut(t *testing.T) {
	s, b := serve(t), open(t)
	b.as(t, views[0])
	b.logIn(t, s.url+"/admin/", "ann")
	b.do(t, chromedp.Click("form.who button"), chromedp.WaitVisible("#name"), chromedp.Navigate(s.url+"/admin/queue"), chromedp.WaitVisible("#name"))
	if n := ask[int](t, b, "document.cookie.length"); n != 0 {
		t.Errorf("a script can read %d octets of cookies", n)
	}
}
