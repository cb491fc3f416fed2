package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
)

// example is the block of docs/web.md in a language.
func example(t *testing.T, language string) string {
	t.Helper()
	m := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindStringSubmatch(document(t, "web.md"))
	if m == nil {
		t.Fatal("docs/web.md has no example for " + language)
	}
	return m[1]
}

// front is a web server in front of a Handler, with the lines of docs/web.md.
func front(t *testing.T, name string, configure func(text, dir, port, pair string) []string) (w *world, client *http.Client) {
	t.Helper()
	return frontWith(t, name, example(t, name), configure)
}

// frontWith is one with other lines.
func frontWith(t *testing.T, name, text string, configure func(text, dir, port, pair string) []string) (w *world, client *http.Client) {
	t.Helper()
	program := tool(t, name)
	w = newWorld()
	one := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	w.site.StatusFrom, w.site.ProxyFrom = one, one
	behind := httptest.NewServer(w)
	t.Cleanup(behind.Close)
	cert, key, err := certs.SelfSigned("mta-sts.example.com", "autoconfig.example.com", "autodiscover.example.com", "mail.example.com")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pair := filepath.Join(dir, "pair")
	for suffix, text := range map[string][]byte{".pem": cert, ".key": key} {
		if err := os.WriteFile(pair+suffix, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	port := free(t)
	text = strings.ReplaceAll(text, "127.0.0.1:8080", behind.Listener.Addr().String())
	cmd := exec.Command(program, configure(text, dir, port, pair)...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		<-ended
		if t.Failed() {
			t.Log(out.String())
		}
	})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	// A client that is not the web server itself: it comes from another address of this host.
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", "127.0.0.1:"+port)
		}}}
	for range 1000 {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			return w, client
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal(name + " does not listen: " + out.String())
	return nil, nil
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// fronts are how web servers are told what to do; text is the block of the manual.
var fronts = map[string]func(text, dir, port, pair string) []string{
	"nginx": func(text, dir, port, pair string) []string {
		text = strings.NewReplacer("listen 443 ssl;", "listen 127.0.0.1:"+port+" ssl;", "/etc/ssl/example.com.pem", pair+".pem",
			"/etc/ssl/private/example.com.key", pair+".key").Replace(text)
		file := filepath.Join(dir, "nginx.conf")
		os.WriteFile(file, fmt.Appendf(nil, "daemon off; pid %[1]s/pid; error_log %[1]s/error;\nevents {}\nhttp { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;\n%[2]s\n}\n", dir, text), 0o600)
		return []string{"-c", file, "-p", dir, "-e", filepath.Join(dir, "error")}
	},
	"caddy": func(text, dir, port, pair string) []string {
		text = regexp.MustCompile(`(?m)^([^\s{][^{\n]*) \{\n`).ReplaceAllStringFunc(text, func(line string) string {
			names := strings.Split(strings.TrimSuffix(strings.TrimSpace(line), " {"), ", ")
			for i, n := range names {
				names[i] = "https://" + n + ":" + port
			}
			return strings.Join(names, ", ") + " {\n    tls " + pair + ".pem " + pair + ".key\n"
		})
		file := filepath.Join(dir, "Caddyfile")
		os.WriteFile(file, []byte("{\n  admin off\n  auto_https off\n}\n"+text), 0o600)
		return []string{"run", "--config", file, "--adapter", "caddyfile"}
	},
}

// TestSilentFront: web servers in front that were not told to say for whom they ask let nobody see the pages of
// administrators, whatever they leave out, and whatever a stranger adds.
func TestSilentFront(t *testing.T) {
	nginx := func(lines string) string {
		return "server {\n listen 443 ssl;\n ssl_certificate /etc/ssl/example.com.pem;\n ssl_certificate_key /etc/ssl/private/example.com.key;\n" +
			" location / {\n proxy_pass http://127.0.0.1:8080;\n" + lines + "}\n}\n"
	}
	caddy := func(lines string) string {
		return "mail.example.com {\n reverse_proxy 127.0.0.1:8080 {\n" + lines + "}\n}\n"
	}
	const nobody = "header_up -X-Forwarded-For\nheader_up -X-Forwarded-Host\nheader_up -X-Forwarded-Proto\nheader_up -Via\n"
	for name, f := range map[string]struct{ server, text string }{
		"nginx as it is":            {"nginx", nginx("")},
		"nginx with 1.1":            {"nginx", nginx("proxy_http_version 1.1;\n")},
		"nginx with 1.1 kept alive": {"nginx", nginx("proxy_http_version 1.1;\nproxy_set_header Connection \"\";\n")},
		"nginx with the host":       {"nginx", nginx("proxy_http_version 1.1;\nproxy_set_header Connection \"\";\nproxy_set_header Host $host;\n")},
		"caddy that hides all":      {"caddy", caddy(nobody)},
		"caddy with another host":   {"caddy", caddy(nobody + "header_up Host 127.0.0.1:8080\n")},
	} {
		t.Run(name, func(t *testing.T) {
			w, client := frontWith(t, f.server, f.text, fronts[f.server])
			w.Admin = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "the pages") })
			w.site.AdminFrom = w.site.StatusFrom
			for _, fields := range [][]string{nil, {"Connection", "keep-alive"}, {"Connection", "keep-alive, X-Forwarded-For"}, {"Keep-Alive", "timeout=5"}} {
				r, _ := http.NewRequest(http.MethodGet, "https://mail.example.com/admin/", nil)
				for i := 0; i < len(fields); i += 2 {
					r.Header.Set(fields[i], fields[i+1])
				}
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				text := body(t, resp)
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK || strings.Contains(text, "the pages") {
					t.Errorf("with %q: %s %s", fields, resp.Status, text)
				}
			}
		})
	}
}

// TestBehind: with the lines of the manual, each host's own answers come through other web servers as
// they are, and nobody becomes somebody else by them.
func TestBehind(t *testing.T) {
	for name, configure := range fronts {
		t.Run(name, func(t *testing.T) {
			w, client := front(t, name, configure)
			get := func(url string, fields ...string) *http.Response {
				t.Helper()
				r, err := http.NewRequest(http.MethodGet, url, nil)
				if err != nil {
					t.Fatal(err)
				}
				for i := 0; i < len(fields); i += 2 {
					r.Header.Set(fields[i], fields[i+1])
				}
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { resp.Body.Close() })
				return resp
			}
			if got := get("https://mta-sts.example.com/.well-known/mta-sts.txt"); got.StatusCode != 200 || body(t, got) != testPolicy || got.Header.Get("Content-Type") != "text/plain" {
				t.Errorf("the policy: %s %s", got.Status, got.Header)
			}
			want := body(t, w.get(stranger, "https://autoconfig.example.com"+thunderbirdPath))
			if got := get("https://autoconfig.example.com"+thunderbirdPath+"?emailaddress=a@example.com", "X-Forwarded-For", "127.0.0.1"); body(t, got) != want {
				t.Errorf("the settings: %s", got.Status)
			}
			resp, err := client.Post("https://autodiscover.example.com/Autodiscover/Autodiscover.xml", "text/xml", strings.NewReader(outlookAsks("alice@example.com", outlookResponse)))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if text := body(t, resp); resp.StatusCode != 200 || !strings.Contains(text, "<LoginName>alice@example.com</LoginName>") {
				t.Errorf("Outlook: %s %s", resp.Status, text)
			}
			// Who is not here has no rights, whatever he says.
			for _, forged := range [][]string{nil, {"X-Forwarded-For", "127.0.0.1"}, {"X-Real-Ip", "127.0.0.1"}, {"Forwarded", "for=127.0.0.1"}} {
				if got := get("https://mta-sts.example.com/metrics", append(forged, "X-Forwarded-Host", "mail.example.com")...); got.StatusCode == 200 {
					t.Errorf("metrics with %s", forged)
				}
			}
		})
	}
}
