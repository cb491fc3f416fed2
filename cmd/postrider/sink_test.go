package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/smtp"
)

// sinkProcess is "postrider sink" as a person starts it, on ports that are free.
type sinkProcess struct {
	smtp, pop3, http string
	cmd              *exec.Cmd
}

func startSink(t *testing.T, env []string, args ...string) *sinkProcess {
	t.Helper()
	free := "127.0.0.1:0"
	cmd := exec.Command(binary(t), append([]string{"sink", "--smtp", free, "--pop3", free, "--http", free}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &sinkProcess{cmd: cmd}
	t.Cleanup(func() { s.stop(t) })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		name, at, _ := strings.Cut(lines.Text(), " ")
		switch at = strings.TrimSpace(at); name {
		case "SMTP":
			s.smtp = at
		case "POP3":
			s.pop3 = at
		case "Pages":
			s.http = strings.TrimSuffix(at, "/")
			return s
		}
	}
	t.Fatal("it ended before it said where it listens")
	return nil
}

func (s *sinkProcess) stop(t *testing.T) {
	if s.cmd.ProcessState != nil {
		return
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("sink: %v", err)
	}
}

func (s *sinkProcess) get(t *testing.T, path string, into any) {
	t.Helper()
	resp, err := http.Get(s.http + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// The clients of npm that tests are written with find what they know.
func TestSinkNodeClients(t *testing.T) {
	s := startSink(t, nil, "--chaos")
	_, port, _ := net.SplitHostPort(s.smtp)
	n, _ := strconv.Atoi(port)
	job := options{"url": s.http, "port": n, "mail": options{
		"from": "Alice <alice@example.com>", "to": "bob@example.com", "subject": "Grüße: your order", "text": "Your order", "html": "<p>Your <b>order</b> <a href=\"http://127.0.0.1:9/\">x</a></p>",
		"attachments": []options{{"filename": "order.txt", "content": "one two three"}},
	}}
	var ok bool
	if err := runNode(t, &world{}, "sink.js", job, &ok); err != nil || !ok {
		t.Fatal(err)
	}
}

// What --dir keeps is there again: octets, envelope, marks and the inboxes that were made; also after
// the process was killed.
func TestSinkDir(t *testing.T) {
	dir := t.TempDir()
	s := startSink(t, nil, "--dir", dir)
	resp, err := http.Post(s.http+"/inboxes", "application/json", strings.NewReader(`{"name":"team"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	raw := "Subject: kept\r\n\r\n.dot\r\nbody\r\n"
	if err := smtp.SendMail(t.Context(), s.smtp, "a@b.test", []string{"team@sink.test", "c@d.test"}, strings.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest("PUT", s.http+"/api/v1/tags", strings.NewReader(`{"IDs":["`+onlyMessage(t, s)+`"],"Tags":["red"]}`))
	if resp, err = http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	s.cmd.Process.Kill()
	s.cmd.Wait()

	s = startSink(t, nil, "--dir", dir)
	var got struct {
		Messages []struct {
			ID, Subject string
			Tags        []string
			Envelope    struct{ From string }
		}
	}
	s.get(t, "/inboxes/team/messages", &got)
	if len(got.Messages) != 1 || got.Messages[0].Subject != "kept" || len(got.Messages[0].Tags) != 1 || got.Messages[0].Envelope.From != "a@b.test" {
		t.Fatalf("%+v", got)
	}
	resp, err = http.Get(s.http + "/inboxes/-/messages/" + got.Messages[0].ID + "/raw")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	bufio.NewReader(resp.Body).WriteTo(&b)
	if b.String() != raw {
		t.Errorf("%q", b.String())
	}
}

func onlyMessage(t *testing.T, s *sinkProcess) string {
	t.Helper()
	var l struct{ Messages []struct{ ID string } }
	s.get(t, "/api/v1/messages", &l)
	if len(l.Messages) != 1 {
		t.Fatalf("%d messages", len(l.Messages))
	}
	return l.Messages[0].ID
}

// The settings of a team that has used Mailpit so far.
func TestSinkMailpitSettings(t *testing.T) {
	s := startSink(t, []string{"MP_MAX_MESSAGES=2", "MP_SMTP_AUTH=u:p v:q", "MP_UI_AUTH=team:secret", "MP_WEBROOT=mail", "MP_ENABLE_CHAOS=true", "MP_LABEL=Stage", "MP_SMTP_ALLOWED_RECIPIENTS=@ok\\.test$", "MP_DATABASE=/x", "MP_NEW=1", "MP_MAX_AGE=7d"}, "--max-messages", "3")
	d := &smtp.Dialer{User: "u", Password: "wrong", AllowCleartextAuth: true}
	if err := d.SendMail(t.Context(), s.smtp, "a@b.test", []string{"x@ok.test"}, strings.NewReader("\r\n")); err == nil {
		t.Error("a wrong password was taken")
	}
	d.Password = "p"
	if err := d.SendMail(t.Context(), s.smtp, "a@b.test", []string{"x@other.test"}, strings.NewReader("\r\n")); err == nil {
		t.Error("a recipient was taken that is not allowed")
	}
	for range 5 {
		if err := d.SendMail(t.Context(), s.smtp, "a@b.test", []string{"x@ok.test"}, strings.NewReader("\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := http.Get(s.http + "/api/v1/info")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized || !strings.HasSuffix(s.http, "/mail") {
		t.Errorf("%s: %s", s.http, resp.Status)
	}
	s.http = strings.Replace(s.http, "http://", "http://team:secret@", 1)
	var info struct {
		Messages int
		Dropped  map[string]int
	}
	s.get(t, "/api/v1/info", &info)
	// The command line comes first.
	if info.Messages != 3 || info.Dropped["messages"] != 2 {
		t.Errorf("%+v", info)
	}
	for _, bad := range []string{"MP_MAX_MESSAGES=x", "MP_MAX_AGE=never", "MP_SMTP_AUTH=u", "MP_SMTP_ALLOWED_RECIPIENTS=(", "MP_CHAOS_TRIGGERS=Sender:x", "MP_UI_AUTH=u:$2y$x"} {
		cmd := exec.Command(binary(t), "sink", "--smtp", "127.0.0.1:0", "--pop3", "", "--http", "127.0.0.1:0")
		cmd.Env = append(os.Environ(), bad)
		out, err := cmd.CombinedOutput()
		name, _, _ := strings.Cut(bad, "=")
		if err == nil || !strings.Contains(string(out), name) {
			t.Errorf("%s: %v %s", bad, err, out)
		}
	}
}

// Started without a word it is reached from this machine alone.
func TestSinkLoopback(t *testing.T) {
	fl := sinkCommand().Flags()
	for _, name := range []string{"smtp", "http", "pop3"} {
		if at := fl.Lookup(name).DefValue; outside(at) {
			t.Errorf("--%s %s", name, at)
		}
	}
	for at, want := range map[string]bool{":8025": true, "0.0.0.0:8025": true, "[::]:1": true, "192.0.2.1:1": true, "127.0.0.1:1": false, "[::1]:1": false} {
		if outside(at) != want {
			t.Errorf("%s: %v", at, !want)
		}
	}
}

// A port that is taken is named.
func TestSinkPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary(t), "sink", "--smtp", l.Addr().String(), "--pop3", "", "--http", "127.0.0.1:0").CombinedOutput()
	if err == nil || !regexp.MustCompile(`SMTP.*`+regexp.QuoteMeta(l.Addr().String())).Match(out) || !strings.Contains(string(out), "--smtp") {
		t.Errorf("%v %s", err, out)
	}
}

// Python's own client fetches all of an inbox: the oldest first, octets as announced and as they were sent.
func TestSinkPoplib(t *testing.T) {
	s := startSink(t, nil)
	for i := range 150 {
		if err := smtp.SendMail(t.Context(), s.smtp, "a@b.test", []string{"bob@x.test"}, strings.NewReader("X-N: "+strconv.Itoa(i)+"\r\n\r\n.dot\r\n..\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	_, port, _ := net.SplitHostPort(s.pop3)
	out, err := runPeer(t, t.TempDir(), `
import poplib
for user in "bob@x.test", "all":
    c = poplib.POP3("127.0.0.1", `+port+`, timeout=30)
    c.user(user); c.pass_("any")
    sizes = [int(l.split()[1]) for l in c.list()[1]]
    assert len(sizes) == 150, sizes
    for n in range(150):
        _, lines, octets = c.retr(n + 1)
        text = b"".join(l + b"\r\n" for l in lines)
        assert text == b"X-N: %d\r\n\r\n.dot\r\n..\r\n" % n, text
        assert len(text) == sizes[n], (len(text), sizes[n])
    c.quit()
print("ok")
`, "python3", "-")
	if err != nil || strings.TrimSpace(out) != "ok" {
		t.Errorf("%v %s", err, out)
	}
}

// A program that reads Maildirs finds what --dir keeps, and marking a message there does it no harm.
func TestSinkMaildir(t *testing.T) {
	dir := t.TempDir()
	s := startSink(t, nil, "--dir", dir)
	if err := smtp.SendMail(t.Context(), s.smtp, "a@b.test", []string{"bob@x.test"}, strings.NewReader("Subject: in a folder\r\n\r\nbody\r\n")); err != nil {
		t.Fatal(err)
	}
	out, err := runPeer(t, t.TempDir(), `
import mailbox
m = mailbox.Maildir("`+dir+`", create=False)
for key, message in m.items():
    print(message["Subject"])
    message.add_flag("S")
    m[key] = message
`, "python3", "-")
	if err != nil || strings.TrimSpace(out) != "in a folder" {
		t.Errorf("%v %s", err, out)
	}
	id := onlyMessage(t, s)
	for range 2 {
		resp, err := http.Get(s.http + "/inboxes/bob@x.test/messages/" + id + "/raw")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.HasSuffix(string(text), "body\r\n") && !strings.HasSuffix(string(text), "body\n") { // Python writes its own line ends
			t.Errorf("%s: %q", resp.Status, text)
		}
		s.stop(t)
		s = startSink(t, nil, "--dir", dir)
	}
}

// proxies are what start a web server at an address that hands on to a sink.
var proxies = map[string]func(t *testing.T, at, inner string) *exec.Cmd{
	"caddy": func(t *testing.T, at, inner string) *exec.Cmd {
		dir := t.TempDir()
		conf := "{\nadmin off\nauto_https off\n}\nhttp://" + at + " {\nreverse_proxy " + inner + "\n}\n"
		if err := os.WriteFile(dir+"/Caddyfile", []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), peer(t, "caddy"), "run", "--config", dir+"/Caddyfile", "--adapter", "caddyfile")
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
		return cmd
	},
	"nginx": func(t *testing.T, at, inner string) *exec.Cmd {
		dir := t.TempDir()
		conf := fmt.Sprintf("daemon off; pid %[1]s/pid; error_log %[1]s/error;\nevents {}\nhttp { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;\n"+
			"server { listen %[2]s;\n%[3]s\n} }\n", dir, at, strings.Replace(nginxRecipe, "127.0.0.1:8025", inner, 1))
		if err := os.WriteFile(dir+"/nginx.conf", []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		return exec.CommandContext(t.Context(), peer(t, "nginx"), "-c", dir+"/nginx.conf", "-p", dir, "-e", dir+"/error")
	},
}

// nginxRecipe is what the documentation says that nginx is to be told.
const nginxRecipe = `location / {
    proxy_pass http://127.0.0.1:8025;
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
}`

// Behind a proxy, with a path of its own and without, pages, parts and the live update are there.
func TestSinkProxy(t *testing.T) {
	if text, _ := testingDoc(t, "nginx"); !strings.Contains(text, nginxRecipe) {
		t.Error("the documentation has another recipe for nginx")
	}
	for name, proxy := range proxies {
		for _, root := range []string{"/", "/mail/"} {
			t.Run(name+" "+root, func(t *testing.T) {
				s := startSink(t, nil, "--web-root", root)
				at := freeAddress(t)
				inner := strings.TrimSuffix(strings.TrimPrefix(s.http, "http://"), strings.TrimSuffix(root, "/"))
				cmd := proxy(t, at, inner)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
				for range 9000 {
					if c, err := net.Dial("tcp", at); err == nil {
						c.Close()
						break
					}
					time.Sleep(20 * time.Millisecond)
				}
				s.http = "http://" + at + strings.TrimSuffix(root, "/")
				s.behindProxy(t, at, inner)
			})
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", peertest.FreePort(t))
}

// behindProxy looks at what comes by way of a proxy: nothing in it names the sink's own address.
func (s *sinkProcess) behindProxy(t *testing.T, at, inner string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	live, _, err := websocket.Dial(ctx, s.http+"/api/events", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"http://" + at}}})
	if err != nil {
		t.Fatal(err)
	}
	defer live.CloseNow()
	if err := smtp.SendMail(t.Context(), s.smtp, "a@b.test", []string{"bob@x.test"}, strings.NewReader("Subject: x\r\n\r\nbody\r\n")); err != nil {
		t.Fatal(err)
	}
	for {
		_, text, err := live.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), `"Type":"new"`) {
			break
		}
	}
	id := onlyMessage(t, s)
	for _, path := range []string{"/", "/message/" + id, "/api/v1/message/" + id + "/part/0", "/view/" + id + ".txt", "//view/" + id + ".txt", "/inboxes/bob@x.test/", "/assets/sink.js"} {
		resp, err := http.Get(s.http + path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || strings.Contains(string(text), inner) || strings.Contains(string(text), "http://"+at) {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}
