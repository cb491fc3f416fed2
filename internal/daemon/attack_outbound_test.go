package daemon

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/internal/desk"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// names is a DNS server that a function answers for: with addresses of hosts.
func names(t *testing.T, address func(name string) string) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		name := strings.ToLower(q.Question[0].Name)
		text := ""
		switch a := address(strings.TrimSuffix(name, ".")); {
		case strings.HasPrefix(a, "v=") && q.Question[0].Qtype == dns.TypeTXT:
			text = fmt.Sprintf("%s 60 IN TXT %q", name, a)
		case q.Question[0].Qtype == dns.TypeA && net.ParseIP(a) != nil:
			text = name + " 60 IN A " + a
		}
		if rr, err := dns.NewRR(text); err == nil && rr != nil {
			m.Answer = append(m.Answer, rr)
		}
		w.WriteMsg(m)
	})}
	go s.ActivateAndServe()
	t.Cleanup(func() { s.Shutdown() })
	return pc.LocalAddr().String()
}

// silence listens and says nothing; it counts who is there.
func silence(t *testing.T, count *atomic.Int32, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("the hosts of the DNS are at port 25: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			count.Add(1)
			go func() {
				io.Copy(io.Discard, c)
				c.Close()
			}()
		}
	}()
}

// far is another host at port 25 of an address, and what it takes.
func far(t *testing.T, address string) chan string {
	t.Helper()
	got := make(chan string, 1000)
	s := &smtp.Server{Hostname: "far.test", Log: slog.New(slog.DiscardHandler),
		CheckRcpt: func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil },
		Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
			text, err := io.ReadAll(e.Data)
			got <- fmt.Sprintf("<%s> <%s>\n%s", e.From, e.To[0].Path, text)
			return err
		})}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("the hosts of the DNS are at port 25: %v", err)
	}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return got
}

func (v *victim) counters() (c queue.Counters) {
	v.t.Helper()
	if err := control.NewClient(filepath.Join(v.dir, "data", "control.sock")).Call(context.Background(), "queue/counters", desk.QueueRequest{}, &c); err != nil {
		v.t.Fatal(err)
	}
	return c
}

// ours is a client that may relay.
func (v *victim) ours() *talk {
	v.t.Helper()
	c, err := v.from("127.0.0.66", "smtp")
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(forEver))
	k := &talk{v.t, c, bufio.NewReader(c)}
	k.play("S: 220\nC: EHLO ours.test\nS: 250")
	return k
}

// TestAttackSilentHosts: a stranger has us send to five hundred domains whose
// hosts, one address or many, take the connection and say nothing. Users' mail
// leaves all the same, to hosts never heard of as well.
func TestAttackSilentHosts(t *testing.T) {
	t.Parallel()
	var held atomic.Int32
	hosts := heavy(60, 250)
	for i := range hosts {
		silence(t, &held, fmt.Sprintf("127.77.1.%d:25", i+1))
	}
	got := far(t, "127.77.0.2:25")
	server := names(t, func(name string) string {
		var i int
		switch {
		case strings.HasSuffix(name, ".live.test"):
			return "127.77.0.2"
		case strings.HasSuffix(name, ".one.test"):
			return "127.77.1.1"
		}
		if n, _ := fmt.Sscanf(name, "s%d.many.test", &i); n == 1 {
			return fmt.Sprintf("127.77.1.%d", i%hosts+1)
		}
		return ""
	})
	var one, many []string
	for i := range 500 {
		one = append(one, fmt.Sprintf("%q", fmt.Sprintf("v@s%d.one.test", i)))
		many = append(many, fmt.Sprintf("%q", fmt.Sprintf("v@s%d.many.test", i)))
	}
	v := underAttack(t, fmt.Sprintf(`
		"SMTP": {"relay_from": ["127.0.0.66/32"], "tarpit": "0s"},
		"Queue": {"forward": true, "mta_sts": false, "dns_servers": [%q], "dial_private": ["127.77.0.0/16"], "concurrency": 40, "destination_concurrency": 20},
		"Aliases": {"one@mail.test": [%s], "many@mail.test": [%s]},`, server, strings.Join(one, ","), strings.Join(many, ",")))
	k := v.attacker(1, "smtp")
	k.play("S: 220\nC: EHLO evil.test\nS: 250")
	for i := range heavy(50, 500) { // as it was found: reports of success, each to another domain
		k.send(fmt.Sprintf("<v@s%d.many.test>", i), []string{"<alice@mail.test> NOTIFY=SUCCESS"}, "Subject: a\r\n\r\nhey")
	}
	if c := v.counters(); c.Accepted != 0 {
		t.Errorf("%d reports of success for a stranger", c.Accepted)
	}
	for _, to := range []string{"<one@mail.test>", "<many@mail.test>"} {
		k.send("<v@evil.test>", []string{to}, "Subject: a\r\n\r\nhey")
	}
	waitFor(t, func() bool { return held.Load() >= 5 })
	c := v.counters()
	if c.Classes[queue.Stranger].Waiting == 0 {
		t.Errorf("nobody waits for a place, so nothing is proven: %+v", c.Classes)
	}
	honest := v.ours()
	for i := range 6 {
		began := time.Now()
		honest.send("<bob@mail.test>", []string{fmt.Sprintf("<h@d%d.live.test>", i)}, "Subject: h\r\n\r\nx")
		if m := receive(t, got); !strings.HasPrefix(m, "<bob@mail.test> <h@d") {
			t.Errorf("not the honest one: %q", m)
		}
		t.Logf("honest mail out after %v, %d attempts of strangers run", time.Since(began).Round(time.Millisecond), v.counters().Classes[queue.Stranger].Running)
	}
}

// TestAttackReflector: a stranger cannot have us mail who did not write to us,
// nor have his header carried, nor have us talk to machines behind us.
func TestAttackReflector(t *testing.T) {
	var knocked atomic.Int32
	for _, port := range []string{"25", "443"} {
		silence(t, &knocked, "127.78.0.1:"+port)
	}
	got := far(t, "127.77.0.3:25")
	server := names(t, func(name string) string {
		switch {
		case name == "victim.test", name == "sts.test", strings.HasSuffix(name, ".victim.test"):
			return "127.77.0.3"
		case name == "inside.test", name == "mta-sts.sts.test":
			return "127.78.0.1"
		case name == "_mta-sts.sts.test":
			return "v=STSv1; id=1;"
		case name == "meta.test":
			return "169.254.169.254"
		}
		return ""
	})
	v := underAttack(t, fmt.Sprintf(`
		"SMTP": {"relay_from": ["127.0.0.66/32"], "tarpit": "0s"},
		"Queue": {"dns_servers": [%q], "dial_private": ["127.77.0.0/16"]},`, server))
	long := "Subject: pills\r\n" + strings.Repeat("X-Payload: "+strings.Repeat("spam ", 150)+"\r\n", 1000) + "\r\nx"
	stranger := v.attacker(1, "smtp")
	stranger.play("S: 220\nC: EHLO evil.test\nS: 250")
	for i := range heavy(50, 500) {
		text := long
		if i > 0 {
			text = "Subject: a\r\n\r\nhey"
		}
		stranger.send(fmt.Sprintf("<v%d@victim.test> RET=FULL", i), []string{"<alice@mail.test> NOTIFY=SUCCESS"}, text)
	}
	if c := v.counters(); c.Accepted != 0 {
		t.Errorf("%d reports to victims", c.Accepted)
	}
	// Who may relay has the report, with the beginning of the header.
	ours := v.ours()
	ours.send("<ann@victim.test>", []string{"<alice@mail.test> NOTIFY=SUCCESS"}, long)
	report := receive(t, got)
	if !strings.HasPrefix(report, "<> <ann@victim.test>") || len(report) > 24<<10 || !strings.Contains(report, "only its beginning is enclosed") {
		t.Errorf("%d octets of report: %.3000s", len(report), report)
	}
	ours.send("<ann@victim.test>", []string{"<x@sts.test>"}, "Subject: s\r\n\r\nx")
	receive(t, got)
	ours.send("<ann@victim.test>", []string{"<x@inside.test>", "<x@meta.test>", "<x@[127.78.0.1]>", "<x@[169.254.169.254]>", "<x@[IPv6:::ffff:127.78.0.1]>"}, "Subject: s\r\n\r\nx")
	waitFor(t, func() bool { return v.counters().Deferred >= 5 })
	if c := v.counters(); c.Deferred != 5 || c.Failed != 0 {
		t.Errorf("%d deferred, %d failed", c.Deferred, c.Failed)
	}
	if n := knocked.Load(); n != 0 {
		t.Errorf("%d connections to a machine behind us", n)
	}
	if n := len(got); n != 0 {
		t.Errorf("%d messages more: %q", n, <-got)
	}
}
