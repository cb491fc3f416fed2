package daemon

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
)

// comingFrom is a port whose connections reach a listener as if they came from an address.
func (w *testWorld) comingFrom(addr string) (port int) {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { l.Close() })
	to := w.Addrs()["127.0.0.7:0"].String()
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				return
			}
			fmt.Fprintf(out, "PROXY TCP4 %s 203.0.113.1 4000 25\r\n", addr)
			go func() { io.Copy(out, in); out.(*net.TCPConn).CloseWrite() }()
			go func() { io.Copy(in, out); in.Close() }()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// TestGreylistPeers: an honest server without names is told to come again, does, and its mail is there once.
func TestGreylistPeers(t *testing.T) {
	t.Parallel()
	const on, rule = `"Verify": {"Greylist": {"on": true}},`, `"Rules": ["greylist all"],`
	for _, c := range []struct{ name, settings string }{{"Postfix", on}, {"Exim", on}, {"Postfix", rule}, {"Exim", rule}} {
		name := c.name
		t.Run(name+map[string]string{rule: ", by a rule"}[c.settings], func(t *testing.T) {
			l := newLab(t)
			w := startTrusting(t, l, "", c.settings)
			w.state().settings.Verify.Greylist.Wait = time.Second // less than the settings allow: these come again as soon as they can
			if c.settings == on {
				w.state().verify.Greylist.Wait = time.Second
			}
			peer := peertest.Servers()[name](t, peertest.Options{Cert: peertest.NewAuthority(t).Issue(t, "127.0.0.1"), RelayPort: w.comingFrom("198.51.100.9")})
			submit(t, peer.Addr, "From: x@plain.test\r\nSubject: twice\r\n\r\nbody\r\n", "x@none.example", "alice@mail.test")
			w.logged("refused", "450 4.7.1", "198.51.100.0/24 is not known here yet: come again in ", "greylist=198.51.100.0/24")
			looks := 0
			peertest.Await(t, "the second attempt", func() bool {
				if looks++; looks%100 == 0 {
					peer.Hurry()
				}
				return w.stored("alice@mail.test") > 0
			})
			if text := w.only("alice@mail.test"); !strings.Contains(text, "Subject: twice") {
				t.Error(text)
			}
			before := strings.Count(w.logs.String(), "greylist=")
			submit(t, peer.Addr, "From: x@plain.test\r\nSubject: once\r\n\r\nbody\r\n", "y@none.example", "bob@mail.test")
			peertest.Await(t, "the next message", func() bool { return w.stored("bob@mail.test") > 0 })
			if n := strings.Count(w.logs.String(), "greylist="); n != before {
				t.Error("its next message had to wait, too")
			}
		})
	}
}

// TestGreylistKept: who came through is known after the process was killed, a reload switches it on and off, and it is off by default.
func TestGreylistKept(t *testing.T) {
	l := newLab(t)
	w := startTrusting(t, l, "", "")
	bring := func(w *testWorld, want string) {
		t.Helper()
		if reply := w.from("198.51.100.9").bring("<x@none.example>", []string{"alice@mail.test"}, plainMail); !strings.HasPrefix(reply, want) {
			t.Errorf("%s, want %s", reply, want)
		}
	}
	file := filepath.Join(w.dir, "data", "greylist")
	bring(w, "250")
	if _, err := os.Stat(file); err == nil {
		t.Error("there is a greylist, though nobody wants one")
	}
	w.change(`"Domains": {"mail.test"`, `"Verify": {"Greylist": {"on": true, "wait": "10s"}}, "Domains": {"mail.test"`)
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	bring(w, "450 4.7.1 198.51.100.0/24 is not known here yet: come again in 10 seconds")
	w.state().verify.Greylist.Wait = 0
	bring(w, "250")
	text, err := os.ReadFile(file) // as a process that is killed leaves it
	if err != nil {
		t.Fatal(err)
	}
	second := startTrusting(t, l, "", "")
	if err := os.WriteFile(filepath.Join(second.dir, "data", "greylist"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	second.change(`"Domains": {"mail.test"`, `"Verify": {"Greylist": {"on": true}}, "Domains": {"mail.test"`)
	if err := second.Reload(); err != nil {
		t.Fatal(err)
	}
	bring(second, "250")
}
