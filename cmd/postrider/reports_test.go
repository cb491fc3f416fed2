package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// reportWorld is a folder of settings and a store of reports.
func reportWorld(t *testing.T) (dir string, keep func(...*reports.Report)) {
	t.Helper()
	dir = t.TempDir()
	text := `{"server_name": "mail.ours.test", "data_dir": "data", "Accounts": {"ann@ours.test": ""}, "Reports": {"address": "dmarc@ours.test"},
		"Queue": {"own_addresses": ["192.0.2.25"], "Domains": {"*": {"source_address": "2001:db8::25"}}}}`
	if err := os.WriteFile(filepath.Join(dir, "mail.conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	disk, err := durable.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	store, err := reports.OpenStore(t.Context(), reports.Dir(data), disk)
	if err != nil {
		t.Fatal(err)
	}
	return dir, func(all ...*reports.Report) {
		t.Helper()
		for _, r := range all {
			if _, err := store.Keep(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func goodReport(i int) *reports.Report {
	return &reports.Report{Kind: reports.DMARC, Received: time.Now().Add(-time.Hour), Sender: "dmarc@big.test", Org: "big.test", ID: fmt.Sprint(i), Domain: "ours.test",
		Trust: reports.Trusted, Rows: []reports.Row{{Source: netip.MustParseAddr("192.0.2.25"), Count: 10, DKIM: "pass", From: "ours.test"},
			{Source: netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), Count: 1, SPF: "pass", From: "ours.test"}}}
}

// TestReports: nothing is said where nothing is wrong. One bad source among a hundred
// good reports is the first line of one screen, and cron hears of it.
func TestReports(t *testing.T) {
	dir, keep := reportWorld(t)
	code, out, said := command(t, "", "reports", "-c", dir)
	if code != 0 || out != "" || !strings.HasPrefix(said, "no report has come since ") {
		t.Errorf("without reports: %d %s%s", code, out, said)
	}
	for i := range 100 {
		keep(goodReport(i))
	}
	if code, out, said := command(t, "", "reports", "-c", dir); code != 0 || out+said != "" {
		t.Errorf("nothing is wrong: %d %s%s", code, out, said)
	}
	code, out, said = command(t, "", "reports", "-c", dir, "--all")
	if code != 0 || said != "" || !strings.Contains(out, "Passes:\n  192.0.2.25           as ours.test: 1000 messages; until ") || !strings.Contains(out, "100 reports since ") ||
		!strings.HasSuffix(out, ": 1100 messages, 1100 passed; 0 TLS sessions\n") || strings.Count(out, "\n") < 100 {
		t.Errorf("%d %s%s", code, out, said)
	}

	bad := goodReport(200)
	bad.Rows = append(bad.Rows, reports.Row{Source: netip.MustParseAddr("203.0.113.66"), Count: 7, Disposition: "reject", DKIM: "fail", SPF: "fail", From: "ours.test", Auth: "spf=fail forger.test"})
	keep(bad)
	code, out, said = command(t, "", "reports", "-c", dir)
	first, _, _ := strings.Cut(out, ", by big.test\n")
	if code != 1 || said != "" || !strings.HasPrefix(first, "Sends as you and fails, and is not one of your addresses:\n  203.0.113.66         as ours.test: 7 messages, 7 refused or put aside; until ") ||
		!strings.Contains(out, "  spf=fail forger.test\n") || !strings.Contains(out, "  and 92 more (--all)\n") || strings.Count(out, "\n") > 24 {
		t.Errorf("%d %s%s", code, out, said)
	}
	if code, out, _ := command(t, "", "reports", "-c", dir, "--domain", "Other.test"); code != 0 || out != "" {
		t.Errorf("another domain: %d %s", code, out)
	}
	if code, out, _ := command(t, "", "reports", "-c", dir, "--domain", "ours.test", "--since", "30m"); code != 0 || out != "" {
		t.Errorf("the last half hour: %d %s", code, out)
	}
	code, out, _ = command(t, "", "reports", "-c", dir, "--json")
	var s reports.Summary
	if err := json.Unmarshal([]byte(out), &s); code != 1 || err != nil || len(s.Strangers) != 1 || len(s.Passing) != 102 || s.Reports != 101 || !strings.Contains(out, `"tls": []`) {
		t.Errorf("%d %v %.500s", code, err, out)
	}
}

// TestReportsPage: each kind of thing has its place, and nothing of a stranger's steers
// the terminal.
func TestReportsPage(t *testing.T) {
	dir, keep := reportWorld(t)
	ours := goodReport(1)
	ours.Rows = []reports.Row{{Source: netip.MustParseAddr("2001:db8::25"), Count: 1, From: "ours.test"}, {Source: netip.MustParseAddr("192.0.2.25"), Count: 1, From: "ours.test"}}
	forged := goodReport(2)
	forged.Trust, forged.Org = reports.Untrusted, "google\x1b[31m.test"
	forged.Rows = []reports.Row{{Source: netip.MustParseAddr("203.0.113.1"), Count: 99, From: "ours.test"}}
	tls := &reports.Report{Kind: reports.TLS, Received: time.Now(), Org: "Big", Sender: "tls@big.test", ID: "t", Domain: "ours.test",
		Sessions: []reports.Session{{Domain: "ours.test", Failure: "certificate-expired", Host: "mx.ours.test", Count: 4, Detail: "x509"}}}
	keep(ours, forged, tls, &reports.Report{Kind: reports.Unreadable, Received: time.Now(), Reason: "no report in it", Mail: "dmarc@ours.test/uid"})
	code, out, said := command(t, "", "reports", "-c", dir)
	if code != 1 || said != "" || strings.Contains(out, "\x1b") || strings.Contains(out, "Sends as you") {
		t.Errorf("%d %s%s", code, out, said)
	}
	at := 0
	for _, want := range []string{
		"One of your addresses, and fails:\n  192.0.2.25 ", "  2001:db8::25 ",
		"TLS to your hosts failed:\n  certificate-expired        mx.ours.test: 4 sessions; until ", "by Big (big.test)\n", " x509\n",
		"Cannot be read:\n", "no sender: no report in it\n", "the mail: dmarc@ours.test/uid\n",
		"Not proven to be from whom they say:\n  203.0.113.1          as ours.test: 99 messages; until ",
		"2 reports since ", ": 2 messages, 0 passed; 4 TLS sessions; of 1 report nobody has checked the sender\n",
	} {
		i := strings.Index(out[at:], want)
		if i < 0 {
			t.Fatalf("no %q from %q on in\n%s", want, out[at:], out)
		}
		at += i
	}
}

// TestReportsNowhere: who has no address for reports is told how to have one.
func TestReportsNowhere(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mail.conf"), []byte(`{"server_name": "mail.ours.test", "data_dir": "data"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, said := command(t, "", "reports", "-c", dir); code != 1 || out != "" || !strings.Contains(said, `"Reports": {"address": `) {
		t.Errorf("%d %s%s", code, out, said)
	}
	if code, _, _ := command(t, "", "reports", "-c", dir, "--since", "yesterday"); code != 1 {
		t.Error(code)
	}
}

// TestReportsMailbox: the mailbox of reports is nobody's, and is not called lost for it.
func TestReportsMailbox(t *testing.T) {
	w := newWorldStopped(t, `"Queue": {"deliver": false}`, `"Queue": {"deliver": false}, "Reports": {"address": "dmarc@here.test"}`)
	mail := filepath.Join(w.dir, "one.eml")
	w.write("one.eml", "Subject: x\r\n\r\nx\r\n")
	for _, to := range []string{"dmarc@here.test", "gone@here.test"} {
		if code, out, said := command(t, "", "import", "-c", w.dir, "--format", "eml", to, mail); code != 0 {
			t.Fatal(code, out, said)
		}
	}
	code, out, said := command(t, "", "store", "stat", "-c", w.dir)
	if code != 0 || !strings.Contains(out, " dmarc@here.test\n") || !strings.Contains(out, " gone@here.test (no account)\n") {
		t.Errorf("%d %s%s", code, out, said)
	}
}

// TestReportsRefused: what would let mail pass that was refused is told from the log, wherever it is.
func TestReportsRefused(t *testing.T) {
	now := time.Now().UTC().Format(time.RFC3339)
	log := "time=" + now + ` level=INFO msg=refused service=smtp session=s id=s-1 command=DATA from=x@mailer.test to=ann@ours.test reply="550 5.7.26 no" ` +
		"author=shop.test spf=pass dkim=pass dmarc=fail spf_domain=mailer.test signers=mailer.test:pass client=out.mailer.test helo=h remote=192.0.2.1:4\n"
	code, out, said := command(t, log, "reports", "refused", "--log", "-")
	if code != 0 || said != "" || !strings.HasPrefix(out, "shop.test: 1 message refused, the last ") || !strings.Contains(out, "out.mailer.test (1)\n") || !strings.Contains(out, "let him sign as shop.test\n") {
		t.Errorf("%d %q\n%s", code, said, out)
	}
	dir, _ := reportWorld(t)
	if err := os.WriteFile(filepath.Join(dir, "log.conf"), []byte(`{"Log": {"file": "postrider.log"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := conf.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Log.File, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, again, said := command(t, "", "reports", "refused", "-c", dir); code != 0 || again != out {
		t.Errorf("%d %q\n%s", code, said, again)
	}
	code, out, said = command(t, "", "reports", "refused", "--log", "-", "--json")
	if code != 0 || strings.TrimSpace(out) != "[]" {
		t.Errorf("%d %q %q", code, out, said)
	}
}
