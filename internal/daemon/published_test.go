package daemon

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/peertest"
)

// clientFile is what a program reads of Thunderbird's format.
type clientFile struct {
	In  clientServer `xml:"emailProvider>incomingServer"`
	Out clientServer `xml:"emailProvider>outgoingServer"`
}

type clientServer struct {
	Type       string `xml:"type,attr"`
	Hostname   string `xml:"hostname"`
	Port       int    `xml:"port"`
	SocketType string `xml:"socketType"`
	Username   string `xml:"username"`
}

// TestPublishedWorks: what programs are told works as it stands: the certificate is for the host, the address logs in, and a mail goes out and comes back.
func TestPublishedWorks(t *testing.T) {
	authority := peertest.NewAuthority(t)
	cert := authority.Issue(t, "mail.test")
	dir := t.TempDir()
	for name, text := range map[string]string{"crt": cert.PEM, "key": cert.KeyPEM} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fetch, send := peertest.FreePort(t), peertest.FreePort(t)
	listeners := fmt.Sprintf(`{"address": ":%d", "protocol": "pop3", "tls": "implicit"}, {"address": ":%d", "protocol": "submission", "tls": "implicit"}, {"address": "127.0.0.2:0"`, fetch, send)
	w := startWith(t, strings.Replace(testConf, `{"address": "127.0.0.2:0"`, listeners, 1),
		fmt.Sprintf(`"Web": {"listen": "127.0.0.1:0", "autoconfig": true}, "TLS": {"certificate_file": %q, "certificate_key_file": %q},`, filepath.Join(dir, "crt"), filepath.Join(dir, "key")))
	r, err := http.NewRequest(http.MethodGet, w.visitor().base+"/mail/config-v1.1.xml?emailaddress=alice@mail.test", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "autoconfig.mail.test"
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var p clientFile
	if err := xml.NewDecoder(resp.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	in, out := p.In, p.Out
	if in.Port != fetch || out.Port != send || in.SocketType != "SSL" || out.SocketType != "SSL" || in.Type != "pop3" {
		t.Fatalf("%+v", p)
	}
	dial := func(server clientServer) *talk {
		t.Helper()
		c, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", server.Port), &tls.Config{ServerName: server.Hostname, RootCAs: authority.Pool})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return &talk{t, c, bufio.NewReader(c)}
	}
	user := func(server clientServer) string {
		return strings.ReplaceAll(server.Username, "%EMAILADDRESS%", "alice@mail.test")
	}
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	k := dial(out)
	k.play("S: 220\nC: EHLO home.test\nS: 250\nC: AUTH LOGIN\nS: 334")
	k.play("C: " + encode(user(out)) + "\nS: 334\nC: " + encode(testPassword) + "\nS: 235\nC: MAIL FROM:<alice@mail.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: DATA\nS: 354\nC: Subject: there and back\\r\\n\\r\\nx\\r\\n.\nS: 250\nC: QUIT\nS: 221")
	k = dial(in)
	k.play("S: +OK\nC: USER " + user(in) + "\nS: +OK\nC: PASS " + testPassword + "\nS: +OK\nC: STAT\nS: +OK 1 ")
}
