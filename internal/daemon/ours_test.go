package daemon

import (
	"strings"
	"testing"
)

// TestWhoMayBeUs: which address of ours who may write as. Users have their own addresses, and those that the settings list; hosts that relay have all; a
// stranger has none, also where nobody has that address, and the refusal names the setting that would let him.
func TestWhoMayBeUs(t *testing.T) {
	w := startTrusting(t, newLab(t), "", `"Domains": {"club.test": {"Accounts": {"eve": `+strings.Replace(testAccount(t), "{", `{"addresses": ["*@club.test", "desk@mail.test"],`, 1)+`}}},`)
	for _, c := range []struct {
		address            string
		bob, eve, stranger bool
	}{
		{"bob@mail.test", true, false, false},
		{"BOB+list@mail.test", true, false, false},
		{"alice@mail.test", false, false, false},
		{"team@mail.test", true, false, false}, // an alias that leads to him
		{"desk@mail.test", false, true, false},
		{"nobody@mail.test", false, false, false},
		{"eve@club.test", false, true, false},
		{"nobody@club.test", false, true, false},
		{"bob@sub.second.test", false, false, true}, // a domain that is not here: what it asks for decides
	} {
		text := "From: " + c.address + "\r\nTo: alice@mail.test\r\nDate: Mon, 30 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@x>\r\nSubject: who\r\n\r\nx\r\n"
		for name, who := range map[string]struct {
			k   *talk
			may bool
		}{
			"bob": {w.loginAs("bob@mail.test"), c.bob}, "eve": {w.loginAs("eve@club.test"), c.eve},
			"a host that relays": {w.from("192.0.2.65"), true}, "a stranger": {w.from("198.51.100.9"), c.stranger},
		} {
			reply := who.k.ask("MAIL FROM:<" + c.address + ">")
			if strings.HasPrefix(reply, "250") {
				who.k.ask("RSET")
				reply = who.k.bring("<"+c.address+">", []string{"alice@mail.test"}, text)
			}
			switch {
			case who.may != strings.HasPrefix(reply, "250"):
				t.Errorf("%s as %s: %s", name, c.address, reply)
			case who.may:
			case name == "a stranger" && !strings.Contains(reply, "Verify.forwarders"), name != "a stranger" && !strings.HasPrefix(reply, "550 5.7.1 "):
				t.Errorf("%s as %s: %s", name, c.address, reply)
			}
		}
	}
}
