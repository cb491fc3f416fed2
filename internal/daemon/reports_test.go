package daemon

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/smtp/dmarc"
)

// dmarcMail is a report as it comes by SMTP, with its dot.
func dmarcMail(id string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte("<feedback><report_metadata><org_name>big.test</org_name><report_id>" + id + "</report_id></report_metadata>" +
		"<policy_published><domain>mail.test</domain></policy_published>" +
		"<record><row><source_ip>203.0.113.66</source_ip><count>3</count></row></record></feedback>"))
	z.Close()
	lines := []string{"From: dmarc@big.test", "Content-Type: application/gzip", "Content-Transfer-Encoding: base64", ""}
	for chunk := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(b.Bytes())), 76) {
		lines = append(lines, string(chunk))
	}
	return "C: " + strings.Join(append(lines, "."), `\r\n`) + "\nS: 250"
}

// kept waits until so many reports are kept.
func (w *testWorld) kept(n int) []*reports.Report {
	w.t.Helper()
	var all []*reports.Report
	if !within(forEver, func() (are bool) {
		w.reports.Read(context.Background())
		var err error
		if all, err = reports.ReadAll(reports.Dir(w.state().settings.DataDir), time.Time{}); err != nil {
			w.t.Fatal(err)
		}
		return len(all) == n
	}) {
		w.t.Fatalf("there are never %d reports", n)
	}
	return all
}

// TestReports: the address for reports takes mail, belongs to nobody, and what comes is
// read, also what came just before the end of the last life.
func TestReports(t *testing.T) {
	w := start(t, `"Reports": {"address": ["dmarc@mail.test", "tls@mail.test"]},`)
	k := w.dial("127.0.0.1:0")
	k.play("S: 220\nC: EHLO big.test\nS: 250\nC: MAIL FROM:<dmarc@big.test>\nS: 250\nC: RCPT TO:<DMARC+x@mail.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: DATA\nS: 354\n" + dmarcMail("1"))
	if r := w.kept(1)[0]; r.Kind != reports.DMARC || r.Domain != "mail.test" || r.Sender != "dmarc@big.test" || r.Rows[0].Count != 3 {
		t.Errorf("%+v", r)
	}
	if n := len(w.mailbox("alice@mail.test")); n != 1 {
		t.Errorf("the other recipient has %d messages", n)
	}
	p := w.dial("127.0.0.4:0")
	p.play("S: +OK")
	p.startTLS("STLS", "+OK")
	p.play("C: USER dmarc@mail.test\nS: +OK\nC: PASS \nS: -ERR\nC: USER dmarc@mail.test\nS: +OK\nC: PASS " + testPassword + "\nS: -ERR")
	k.play("C: MAIL FROM:<dmarc@big.test>\nS: 250\nC: RCPT TO:<tls@mail.test>\nS: 250\nC: DATA\nS: 354\n" + dmarcMail("2"))
	k.play("C: MAIL FROM:<dmarc@big.test>\nS: 250\nC: RCPT TO:<nobody@mail.test>\nS: 550")
	w.stop()
	w.again()
	w.kept(2)
	for _, name := range []string{"dmarc@mail.test", "tls@mail.test"} {
		if !within(forEver, func() bool { return w.stored(name) == 0 }) { // what is kept is removed a moment later
			t.Errorf("%s holds %d messages", name, w.stored(name))
		}
	}
	w.change(`["dmarc@mail.test", "tls@mail.test"]`, `["dmarc@mail.test"]`)
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	k = w.dial("127.0.0.1:0")
	k.play("S: 220\nC: EHLO big.test\nS: 250\nC: MAIL FROM:<dmarc@big.test>\nS: 250\nC: RCPT TO:<tls@mail.test>\nS: 550")
}

// TestReporting: a report to another host goes out as mail of the first address for
// reports, also of those that a reload has brought; when it comes back, from our own queue, it is known whose it was.
func TestReporting(t *testing.T) {
	sink, got := sinkServer(t)
	w := startSending(t, `"Routes": [`+route("far.test", sink.Port, "")+`]}, "Reports": {"address": ["dmarc@mail.test", "tls@mail.test"], "send_dmarc": true`)
	count := func(address string) {
		w.reporting.Count(reports.Result{Domain: "far.test", Policy: reports.Policy{P: "none"}, Wanted: []reports.Destination{{Address: address}},
			Source: netip.MustParseAddr("203.0.113.66"), Disposition: "none", From: "far.test", Recipients: []string{"alice@mail.test"}})
		if err := w.reporting.SendDay(t.Context(), time.Now().UTC().Format(time.DateOnly)); err != nil {
			t.Fatal(err)
		}
	}
	count("dmarc@far.test")
	if m := receive(t, got); !strings.HasPrefix(m, "<dmarc@mail.test> <dmarc@far.test>\n") || !strings.Contains(m, "Subject: Report Domain: far.test\r\n") {
		t.Errorf("got %q", m)
	}
	count("no-such@far.test")
	w.drained()              // the bounce was stored
	waitFor(t, func() bool { // the reader may have looked at the same time
		w.reports.Read(t.Context())
		return w.stored("dmarc@mail.test") == 0
	})
	if all, err := reports.ReadAll(reports.Dir(w.state().settings.DataDir), time.Time{}); err != nil || len(all) != 0 {
		t.Errorf("the bounce is taken for something else: %+v, %v", all, err)
	}
	w.change(`["dmarc@mail.test", "tls@mail.test"]`, `["new@mail.test", "tls@mail.test"]`)
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	count("other@far.test")
	if m := receive(t, got); !strings.HasPrefix(m, "<new@mail.test> <other@far.test>\n") || !strings.Contains(m, "\nFrom: <new@mail.test>\r\n") {
		t.Errorf("after a reload: %q", m)
	}
	data, _ := w.post.Outbound.Cache().Get("dmarc", "rests")
	if !strings.Contains(string(data), `"no-such@far.test":{"bounces":1`) {
		t.Errorf("who rests: %s", data)
	}
}

// TestMayPass: a host that has not agreed will not have by the next hour; a DNS that did not
// answer may.
func TestMayPass(t *testing.T) {
	slow := errors.New("SERVFAIL")
	for _, c := range []struct{ err, want error }{
		{nil, nil}, {slow, slow}, {dmarc.ErrNotPermitted, nil}, {fmt.Errorf("x: %w", dmarc.ErrNotMailto), nil},
		{errors.Join(fmt.Errorf("x: %w", dmarc.ErrNotPermitted), dmarc.ErrNotMailto), nil}, {errors.Join(dmarc.ErrNotPermitted, slow), slow},
	} {
		if got := mayPass(c.err); !errors.Is(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}

// TestReportedAsDone: a report says what was done, and why where that is not what the
// domain's record says (RFC 9990 §3.1.1).
func TestReportedAsDone(t *testing.T) {
	for _, c := range []struct {
		name, record, policy string
		result               dmarc.Result
		action               verify.Action
		override             string
		disposition, reason  string
	}{
		{"passes, enforced", "p=reject", "reject", dmarc.Pass, verify.Note, "", "pass", ""},
		{"passes, nothing asked", "p=none", "none", dmarc.Pass, verify.Note, "", "none", ""},
		{"passes, in a test", "p=quarantine; t=y", "none", dmarc.Pass, verify.Note, "", "none", ""},
		{"as asked: reject", "p=reject", "reject", dmarc.Fail, verify.Refuse, "", "reject", ""},
		{"as asked: quarantine", "p=quarantine", "quarantine", dmarc.Fail, verify.Mark, "", "quarantine", ""},
		{"as asked: put aside", "p=quarantine", "quarantine", dmarc.Fail, verify.Quarantine, "", "quarantine", ""},
		{"as asked: none", "p=none", "none", dmarc.Fail, verify.Note, "", "none", ""},
		{"a test of reject", "p=reject; t=y", "quarantine", dmarc.Fail, verify.Mark, "", "quarantine", "policy_test_mode"},
		{"a test of quarantine", "p=quarantine; t=y", "none", dmarc.Fail, verify.Note, "", "none", "policy_test_mode"},
		{"a test of nothing", "p=none; t=y", "none", dmarc.Fail, verify.Note, "", "none", ""},
		{"a list", "p=reject", "reject", dmarc.Fail, verify.Mark, "mailing_list", "quarantine", "mailing_list"},
		{"softer by our settings", "p=reject", "reject", dmarc.Fail, verify.Note, "", "none", "local_policy"},
		{"softer in a test", "p=reject; t=y", "quarantine", dmarc.Fail, verify.Note, "", "none", "local_policy"},
		{"one of our own domains", "p=none", "none", dmarc.Fail, verify.Refuse, "", "reject", "local_policy"},
		{"no answer", "p=reject", "reject", dmarc.TempError, verify.Note, "", "none", "local_policy"},
	} {
		record, err := dmarc.Parse("v=DMARC1; " + c.record)
		if err != nil {
			t.Fatal(err)
		}
		v := &verify.Verdict{Action: c.action, Override: c.override, DMARC: dmarc.Outcome{
			Result: c.result, Domain: "a.test", RecordDomain: "a.test", Record: record, Policy: dmarc.Policy(c.policy), Tested: record.Testing && c.record != "p=none; t=y",
			SPF: dmarc.Alignment{Aligned: c.result == dmarc.Pass},
		}}
		r := reportable(v)
		var reason string
		for _, o := range r.Overrides {
			reason += o.Type
		}
		if r.Disposition != c.disposition || reason != c.reason {
			t.Errorf("%s: %s %q, want %s %q", c.name, r.Disposition, reason, c.disposition, c.reason)
		}
	}
}
