package trace

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFindUnproven: for each way in which mail fails to prove its author, what would let it pass is told.
func TestFindUnproven(t *testing.T) {
	line := func(when, facts string) string {
		return "time=" + when + "T12:00:00.000Z level=INFO msg=refused service=smtp session=s id=s-1 command=DATA from=x@y.test to=bob@mail.test,ann@mail.test reply=\"550 5.7.26 no\" " + facts + " helo=h remote=192.0.2.1:4\n"
	}
	log := line("2026-11-20", "author=old.test spf=none dkim=none dmarc=fail") +
		line("2026-11-28", "author=shop.test spf=pass dkim=pass dmarc=fail spf_domain=mailer.test signers=mailer.test:pass client=out.mailer.test") +
		line("2026-11-29", "author=shop.test spf=pass dkim=pass dmarc=fail spf_domain=mailer.test signers=mailer.test:pass client=two.mailer.test") +
		line("2026-11-29", "author=bank.test spf=pass dkim=fail dmarc=fail spf_domain=list.test signers=mail.bank.test:fail,list.test:pass client=lists.test") +
		line("2026-11-29", "author=plain.test spf=pass dkim=none dmarc=fail spf_domain=forwarder.test") +
		line("2026-11-29", "author=slow.test spf=temperror dkim=none dmarc=fail spf_domain=slow.test") +
		line("2026-11-29", "author=mute.test spf=none dkim=temperror dmarc=fail spf_domain=elsewhere.test signers=keys.mute.test:temperror") +
		line("2026-11-29", "author=strict.test spf=softfail dkim=none dmarc=fail spf_domain=strict.test") +
		line("2026-11-29", "author=forged.test spf=none dkim=none dmarc=fail spf_domain=elsewhere.test") +
		line("2026-11-29", "author=mail.test spf=none dkim=none dmarc=none ours=mail.test") +
		"time=2026-11-29T12:00:00.000Z level=INFO msg=refused service=smtp session=s command=RCPT reply=\"550 5.1.1 No such user here\" remote=192.0.2.1:4\n"
	all, _, err := FindUnproven(t.Context(), text(log), time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][2]string{ // by author: what spoke for it, and what is missing
		"shop.test":   {"a signature of mailer.test", "let him sign as shop.test"},
		"bank.test":   {"a signature of mail.bank.test", "Verify.forwarders"},
		"plain.test":  {"SPF passes for forwarder.test", "signed by DKIM"},
		"slow.test":   {"did not answer", "answer"},
		"mute.test":   {"the DNS of keys.mute.test did", "answer"},
		"strict.test": {"does not name the host", "in the SPF record of strict.test"},
		"forged.test": {"nothing", "a forgery"},
		"mail.test":   {"nothing", "log in as an account instead, or be in Verify.forwarders"},
	}
	for _, u := range all {
		w, ok := want[u.Author]
		if !ok || !strings.Contains(u.Found, w[0]) || !strings.Contains(u.Missing, w[1]) {
			t.Errorf("%s: %q, %q", u.Author, u.Found, u.Missing)
		}
		delete(want, u.Author)
	}
	if len(want) > 0 {
		t.Errorf("not told: %v", want)
	}
	first := all[0]
	if first.Author != "shop.test" || first.Count != 2 || first.Last.Day() != 29 || strings.Join(first.Clients, " ") != "two.mailer.test out.mailer.test" || strings.Join(first.To, " ") != "bob@mail.test ann@mail.test" {
		t.Errorf("the first is %+v", first)
	}
}

// TestUnprovenBySource: who brought most is named with how much it was, however many others brought one each later.
func TestUnprovenBySource(t *testing.T) {
	var log strings.Builder
	line := func(client string) {
		fmt.Fprintf(&log, "time=2026-11-29T12:00:00.000Z level=INFO msg=refused service=smtp command=DATA author=mail.test spf=none dkim=none dmarc=none ours=mail.test client=%s remote=192.0.2.1:4\n", client)
	}
	for range 3 {
		line("shop.test")
	}
	line("printer.test")
	line("printer.test")
	for i := range 9 {
		line(fmt.Sprintf("bot%d.test", i))
	}
	all, _, err := FindUnproven(t.Context(), text(log.String()), time.Time{})
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if u := all[0]; !u.Ours || u.Count != 14 || u.Sources != 11 || !slices.Equal(u.Clients[:2], []string{"shop.test", "printer.test"}) || !slices.Equal(u.Counts, []int{3, 2, 1, 1, 1}) {
		t.Errorf("%+v", u)
	}
}
