package daemon

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestPosingInStatus: a shop, a printer and a forger write in the name of a domain of this host and are refused; the status and the page of problems say
// which source it was, how often, who stands for it and what would let it pass; and what they say does let it pass.
func TestPosingInStatus(t *testing.T) {
	w := startTrusting(t, newLab(t), "", "")
	ours := "From: boss@mail.test\r\nSubject: your order\r\n\r\nx\r\n"
	refused := func(addr, sender string) {
		t.Helper()
		if reply := w.from(addr).bring("<"+sender+">", []string{"alice@mail.test"}, ours); !strings.HasPrefix(reply, "550 5.7.26") || !strings.Contains(reply, "Verify.forwarders") {
			t.Fatalf("%s: %s", addr, reply)
		}
	}
	for range 3 {
		refused("198.51.100.9", "x@plain.test")
	}
	refused(stranger, "bounce@good.test") // SPF passes for it: a shop
	refused(stranger, "bounce@good.test")
	refused("2001:db8::1:1", "boss@mail.test")
	refused("2001:db8::2:2", "boss@mail.test")
	// What is taken, and what is refused as somebody else, is not of them.
	if reply := w.from(stranger).bring("<x@good.test>", []string{"alice@mail.test"}, "From: x@good.test\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	if reply := w.from(stranger).bring("<x@good.test>", []string{"alice@mail.test"}, "From: x@reject.test\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "550") {
		t.Fatal(reply)
	}

	s := askDaemon[Status](w, "status", nil)
	var told []string
	for _, p := range s.Posing {
		told = append(told, fmt.Sprint(p.Source, " ", p.Domain, " ", p.Count, " ", p.SpokenFor))
	}
	if want := "client.good.test mail.test 2 good.test|198.51.100.9 mail.test 3 |2001:db8::/64 mail.test 2 "; strings.Join(told, "|") != want {
		t.Fatalf("the status says\n%q, want\n%q", strings.Join(told, "|"), want)
	}
	var page []string
	for _, p := range s.problems() {
		page = append(page, p.Text+" "+p.Do)
	}
	all := strings.Join(page, "\n")
	for _, want := range []string{
		"client.good.test was refused 2 times since ", "in the name of mail.test", "good.test stands for its mail", "signs as mail.test by DKIM", "SPF record",
		`"client.good.test" in Verify.forwarders`, "198.51.100.9 was refused 3 times",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("the pages do not say %q:\n%s", want, all)
		}
	}
	// What is named as what would let it pass are elements of that setting.
	for _, p := range s.Posing {
		if _, ok := conf.ForwarderNetwork(p.Source); !ok && p.Source != "client.good.test" {
			t.Errorf("%q is nothing for Verify.forwarders", p.Source)
		}
	}

	w.stop()
	w.again()
	if again := askDaemon[Status](w, "status", nil); !reflect.DeepEqual(again.Posing, s.Posing) {
		t.Errorf("after a restart\n%+v, want\n%+v", again.Posing, s.Posing)
	}
}

// TestPosingMemory: of what was written down only what can be so comes back, and no more than there is room for; what is not new is not
// written again, and what could not be written is, the next time.
func TestPosingMemory(t *testing.T) {
	now := time.Now()
	var p posing
	if memory, err := p.memory(now); memory != nil || err != nil {
		t.Errorf("%s, %v of nobody", memory, err)
	}
	v := &verify.Verdict{Own: true, Ours: "mail.test", Action: verify.Refuse}
	v.Client.Addr = "192.0.2.7"
	p.saw(v, now.Add(-posingFor))
	v.Client.Addr = "192.0.2.8"
	p.saw(v, now)
	for range 2 {
		memory, err := p.memory(now)
		if err != nil || !strings.Contains(string(memory), "192.0.2.8") || strings.Contains(string(memory), "192.0.2.7") {
			t.Fatalf("%s, %v", memory, err)
		}
		if again, _ := p.memory(now); again != nil {
			t.Errorf("%s is written again", again)
		}
		p.lost()
	}

	isOwn := func(n domains.Name) bool { return n == "mail.test" }
	at := func(t time.Time) string { return t.Format(time.RFC3339) }
	row := func(source, domain string, count int, since, last time.Time) string {
		return fmt.Sprintf(`{"source":%q,"domain":%q,"count":%d,"since":%q,"last":%q}`, source, domain, count, at(since), at(last))
	}
	hour := now.Add(-time.Hour)
	rows := []string{
		row("192.0.2.1", "mail.test", 3, hour, hour), row("", "mail.test", 3, hour, hour), row("192.0.2.2", "mail.test", 0, hour, hour),
		row("192.0.2.3", "gone.test", 3, hour, hour), row("192.0.2.4", "mail.test", 3, hour, hour.Add(-time.Hour)),
		row("192.0.2.5", "mail.test", 3, hour, now.Add(time.Hour)), row("192.0.2.6", "mail.test", 3, hour.Add(-posingFor), now.Add(-posingFor)), "null",
	}
	var q posing
	if err := q.recall([]byte("["+strings.Join(rows, ",")+"]"), isOwn, now); err != nil {
		t.Fatal(err)
	}
	if all, _ := q.list(now); len(all) != 1 || all[0].Source != "192.0.2.1" || all[0].Count != 3 || all[0].PassesIf == "" {
		t.Errorf("%+v", all)
	}
	rows = rows[:0]
	for i := range 2 * posers {
		rows = append(rows, row(fmt.Sprintf("198.51.%d.%d", i/256, i%256), "mail.test", 1, hour, hour))
	}
	if err := q.recall([]byte("["+strings.Join(rows, ",")+"]"), isOwn, now); err != nil || len(q.all) > posers {
		t.Errorf("%d, %v", len(q.all), err)
	}
	if err := q.recall([]byte("["), isOwn, now); err == nil {
		t.Error("what cannot be read is taken")
	}
}

// TestPosingIsBounded: strangers from any number of addresses cost bounded memory and do not have those forgotten who were refused often; after a week
// without a refusal a source is not told of any more.
func TestPosingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p posing
		saw := func(addr, domain string, action verify.Action) {
			v := &verify.Verdict{Own: domain != "", Ours: domains.Canonical(domain), Action: action}
			v.Client.Addr = addr
			p.saw(v, time.Now())
		}
		for range 5 {
			saw("192.0.2.7", "mail.test", verify.Refuse)
		}
		saw("192.0.2.8", "", verify.Refuse)
		saw("192.0.2.8", "mail.test", verify.Mark)
		if all, more := p.list(time.Now()); len(all) != 1 || more != 0 {
			t.Fatalf("%+v, %d", all, more)
		}
		a := netip.MustParseAddr("198.18.0.0")
		for range 3 * posers {
			a = a.Next()
			saw(a.String(), "mail.test", verify.Refuse)
			if len(p.all) > posers {
				t.Fatal("the table grows")
			}
		}
		all, more := p.list(time.Now())
		if len(all) != mostPosing || all[0].Source != "192.0.2.7" || all[0].Count != 5 || len(all)+more != len(p.all) {
			t.Errorf("%d and %d more: %+v", len(all), more, all)
		}
		time.Sleep(posingFor)
		if all, more := p.list(time.Now()); len(all)+more != 0 {
			t.Errorf("a week later: %+v, %d", all, more)
		}
		saw("192.0.2.7", "mail.test", verify.Refuse)
		if all, _ := p.list(time.Now()); len(all) != 1 || all[0].Count != 1 || !all[0].Since.Equal(time.Now()) {
			t.Errorf("a new one: %+v", all)
		}
	})
}
