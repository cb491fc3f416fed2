package conf

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/dnslist"
)

// DNSList is a list in the DNS of hosts or domains that send junk, or of such that do not.
type DNSList struct {
	// What the list is called in answers to strangers, in fields and in the log. Empty
	// means its zone, without the key.
	Name string `json:"name"`

	// The zone that is asked: "zen.example.org". "{key}" stands where the list wants the
	// key of its customers.
	Zone string `json:"zone"`

	// The key, if you pay for the list. It is shown nowhere. "env:NAME" takes it from the
	// environment.
	Key Secret `json:"key"`

	// A file whose first line is the key.
	KeyFile string `json:"key_file" conf:"path"`

	// What the list knows: "hosts", by the client's address, or "domains", that of the
	// sender and the one that the client calls itself. Empty means "hosts".
	Knows string `json:"knows" one:"hosts,domains"`

	// What its answers mean to you. The first that fits decides; an answer that none
	// fits means nothing.
	//
	//	"Codes": [
	//	    {"codes": "127.0.0.2-9", "action": "refuse", "text": "see https://a.example/{ip}"},
	//	    {"codes": "127.0.0.10-11", "action": "mark"},
	//	]
	Codes []ListCode `json:"Codes"`
}

// ListCode is what answers of a list mean.
type ListCode struct {
	// The answers: "127.0.0.2", "127.0.0.4-7", "127.0.*.1-3".
	Codes string `json:"codes"`

	// "refuse": its mail is refused at RCPT. "quarantine": it is put aside where there
	// is a quarantine, and marked else. "mark": it is delivered with fields by which
	// mail programs know junk. "note": only the log says so. "allow": no other list
	// counts, and its mail is never delayed.
	Action string `json:"action" one:"allow,refuse,quarantine,mark,note"`

	// What a client that is refused reads besides; "{ip}" stands for its address.
	Text string `json:"text"`
}

// Greylist is about mail that is refused once, for a minute: who sends junk does not come
// again. It is for what is suspicious alone, never for mail that SPF and the reverse name
// speak for, or a signature of its author's domain, or whose sender has come through before.
type Greylist struct {
	// Whether it is done.
	On bool `json:"on"`

	// How long a sender has to wait.
	Wait time.Duration `json:"wait" min:"10s" max:"1h" why:"hosts wait for some minutes, and then for longer each time"`

	// How long it may take to come again.
	Window time.Duration `json:"window" min:"4h" max:"7d"`

	// For how long who came again is known, from the last message on.
	Keep time.Duration `json:"keep" min:"1d" max:"366d"`
}

// Scanner is rspamd, asked about mail of strangers while it is being stored: "reject" and
// "soft reject" refuse the message, now or for good, "add header" and "rewrite subject" mark it,
// or put it aside where there is a quarantine. Users' mail is not scanned.
type Scanner struct {
	// Where its normal worker listens: "http://127.0.0.1:11333". Empty: nothing is scanned.
	URL string `json:"url"`

	// The password of that worker, if it wants one. "env:NAME" takes it from the
	// environment.
	Password Secret `json:"password"`

	// A file whose first line is the password.
	PasswordFile string `json:"password_file" conf:"path"`

	// How long it may take: for a piece of a message, and for its answer.
	Wait time.Duration `json:"wait" min:"1s" max:"1m" why:"clients wait for some minutes only"`

	// The largest message that it is given; larger ones are not scanned.
	MaxSize config.Size `json:"max_size" min:"64KiB" why:"most junk is small"`

	// What becomes of mail while it does not answer: "accept" takes it unscanned,
	// "later" has its sender come again.
	Down string `json:"down" one:"accept,later"`

	// Whether its senders come again where it says "greylist".
	Greylist bool `json:"greylist"`
}

// Milter is a program that is asked about mail of strangers while it is being stored, by the protocol of sendmail's libmilter. It may
// refuse a recipient or the message, have it put aside or thrown away, and add header fields on top. It cannot change
// what the message has brought. Users' mail is not its business.
type Milter struct {
	// What it is called in its refusals, in the log and in header fields: "clamav".
	Name string `json:"name"`

	// Where it listens: "unix:/run/clamav/clamav-milter.ctl", "127.0.0.1:7357" or "[::1]:7357".
	Address string `json:"address"`

	// How long it may take for one answer; for all of a message it may take twice that.
	// Zero means 8s.
	Wait time.Duration `json:"wait" min:"1s" max:"1m" conf:"zero" why:"clients wait for some minutes only"`

	// The largest message that it is given; of larger ones it has no say. Zero means
	// 20MiB.
	MaxSize config.Size `json:"max_size" min:"64KiB" conf:"zero"`

	// What becomes of mail while it does not answer: "accept" takes it, with a field that
	// says who has not seen it, "later" has its sender come again. Empty means "accept".
	Down string `json:"down" one:"accept,later"`
}

// MilterWait and MilterSize are what holds for a milter where nothing is set.
const (
	MilterWait = 8 * time.Second
	MilterSize = 20 * config.MiB
)

// Dial is where a milter listens, as package net has it.
func (m *Milter) Dial() (network, address string) {
	if path, ok := strings.CutPrefix(m.Address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", m.Address
}

// PublicName is what a list is called wherever others may read it.
func (l *DNSList) PublicName() string {
	if l.Name != "" {
		return l.Name
	}
	return strings.Trim(strings.ReplaceAll(strings.ToLower(l.Zone), "{key}", ""), ".")
}

// AskedZone is the zone with the key in it, a secret then.
func (l *DNSList) AskedZone() string {
	return strings.Trim(strings.ReplaceAll(strings.ToLower(l.Zone), "{key}", string(l.Key)), ".")
}

// QuarantineOf is the mailbox where mail for an account is put aside: that of Verify.quarantine, where it is there.
func (b *Book) QuarantineOf(setting string, account domains.Address) domains.Address {
	to := domains.CanonicalAddress(setting)
	if strings.HasPrefix(setting, "+") {
		local, domain := account.Cut()
		if b.Details[domain] == "" {
			return ""
		}
		to = domains.At(local+b.Details[domain]+strings.ToLower(setting[1:]), domain)
	}
	if setting == "" || to == account || b.Accounts[to] == nil {
		return ""
	}
	return to
}

// Quarantines are the mailboxes where mail is put aside, each with the account whose mail that is; "" where it is that of
// several.
func (s *Settings) Quarantines(b *Book) map[domains.Address]domains.Address {
	all := make(map[domains.Address]domains.Address)
	for account := range b.Accounts {
		if q := b.QuarantineOf(s.Verify.Quarantine, account); q != "" {
			if all[q] = account; !strings.HasPrefix(s.Verify.Quarantine, "+") {
				all[q] = ""
			}
		}
	}
	return all
}

// mostLists bounds what one message has the DNS asked.
const mostLists = 20

// defence checks DNS lists and the quarantine.
func (c *checker) defence() {
	names := make(map[string]bool)
	if n := len(c.Verify.Lists); n > mostLists {
		c.fail(at("Verify", "Lists"), "%d lists; at most %d are asked about each message", n, mostLists)
	}
	for i := range c.Verify.Lists {
		c.list(&c.Verify.Lists[i], i, names)
	}
	q := c.Verify.Quarantine
	switch {
	case q == "":
	case strings.HasPrefix(q, "+"):
		if err := checkLocal(q[1:]); err != nil {
			c.fail(at("Verify", "quarantine"), "%w", err)
		} else if len(c.Quarantines(c.book)) == 0 {
			c.fail(at("Verify", "quarantine"), `no user has such a mailbox: add accounts like "alice%s@example.com", for each who wants one`, q)
		}
	case checkAddress(q) != nil:
		c.fail(at("Verify", "quarantine"), `%w; or "+junk" for a mailbox of each user`, checkAddress(q))
	case c.book.Accounts[domains.CanonicalAddress(q)] == nil:
		c.fail(at("Verify", "quarantine"), "there is no account of this name%s; \"postrider user add %s\" adds it", c.didYouMean(domains.CanonicalAddress(q)), q)
	}
	c.scanner(&c.Verify.Scanner)
	c.milters()
	if g := &c.Verify.Greylist; g.Window < 2*g.Wait {
		c.fail(at("Verify", "Greylist", "window"), "%s is too short: a sender has to wait for %s", config.FormatDuration(g.Window), config.FormatDuration(g.Wait))
	}
}

func (c *checker) scanner(s *Scanner) {
	if s.URL == "" {
		return
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		c.fail(at("Verify", "Scanner", "url"), `%q is not like "http://127.0.0.1:11333"`, s.URL)
		return
	}
	if host := net.ParseIP(u.Hostname()); u.Scheme == "http" && s.Password != "" && u.Hostname() != "localhost" && (host == nil || !host.IsLoopback()) {
		c.fail(at("Verify", "Scanner", "url"), "the password would be read on the way; use https, or a scanner on this host")
	}
}

// MostMilters bounds for how long a client may wait behind its message: a minute for each, and nobody waits for more than ten minutes (RFC
// 5321 §4.5.3.2.6).
const MostMilters = 5

// milters checks what they are called and where they listen.
func (c *checker) milters() {
	all := c.Verify.Milters
	if n := len(all); n > MostMilters {
		c.fail(at("Verify", "Milters"), "%d milters; at most %d are asked about each message, one after another", n, MostMilters)
	}
	names, addresses := make(map[string]bool), make(map[string]bool)
	for i := range all {
		m := &all[i]
		here := func(steps ...any) []any { return append(at("Verify", "Milters", i), steps...) }
		switch {
		case m.Name == "":
			c.failMissing(here(), `a name is missing: "name": "clamav"`)
		case len(m.Name) > 40 || strings.ContainsFunc(m.Name, func(r rune) bool { return !strings.ContainsRune(nameLetters, r) }):
			c.fail(here("name"), "%q is not a word of up to 40 letters, digits, '-', '_' and '.'", m.Name)
		case names[m.Name]:
			c.fail(here("name"), "%s stands here twice", m.Name)
		}
		switch why := checkMilter(m.Address); {
		case m.Address == "":
			c.failMissing(here(), `an address is missing: "address": "unix:/run/clamav/clamav-milter.ctl"`)
		case why != "":
			c.fail(here("address"), "%s", why)
		case addresses[m.Address]:
			c.fail(here("address"), "%s stands here twice", m.Address)
		}
		names[m.Name], addresses[m.Address] = true, true
	}
}

const nameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// checkMilter says what is wrong with an address of a milter, also with those that others' settings have.
func checkMilter(address string) string {
	if strings.HasPrefix(address, "unix:") {
		return checkListen(address)
	}
	kind, rest, _ := strings.Cut(address, ":")
	port, host, inverted := strings.Cut(rest, "@")
	switch {
	case strings.HasPrefix(address, "/"):
		return fmt.Sprintf(`write "unix:%s"`, address)
	case kind == "local":
		return fmt.Sprintf(`write "unix:%s"`, rest)
	case (kind == "inet" || kind == "inet6") && inverted:
		return fmt.Sprintf("write %q", net.JoinHostPort(strings.Trim(host, "[]"), port))
	case (kind == "inet" || kind == "inet6") && strings.Contains(rest, ":"):
		return fmt.Sprintf("write %q", rest)
	case kind == "inet" || kind == "inet6":
		return fmt.Sprintf("the host is missing in %q; write \"127.0.0.1:%s\"", address, rest)
	}
	host, port, err := net.SplitHostPort(address)
	if n, convErr := strconv.Atoi(port); err != nil || host == "" || convErr != nil || n < 1 || n > 65535 {
		return fmt.Sprintf(`%q is no address with a port; write one like "127.0.0.1:7357", "[::1]:7357" or "unix:/run/milter.ctl"`, address)
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "localhost" && checkDomain(host) != nil {
		return fmt.Sprintf("%q is neither an IP address nor the name of a host", host)
	}
	return ""
}

// adviseDefence looks for what is asked for and cannot be done.
func (c *checker) adviseDefence() {
	v := &c.Verify
	for i := range v.Milters {
		network, path := v.Milters[i].Dial()
		info, err := os.Stat(path)
		switch here := at("Verify", "Milters", i, "address"); {
		case network != "unix":
		case errors.Is(err, fs.ErrNotExist):
			c.fail(here, "there is no %s now: the milter does not run, or listens elsewhere", path)
		case err == nil && info.Mode().Type() != fs.ModeSocket:
			c.fail(here, "%s is no socket", path)
		}
	}
	if !v.Check {
		for key, on := range map[string]bool{"Lists": len(v.Lists) > 0, "Greylist": v.Greylist.On} {
			if on {
				c.failKey(at("Verify", key), `this does nothing, as "check" is false`)
			}
		}
		return
	}
	if v.Quarantine != "" {
		return
	}
	aside := func(action string, steps ...any) {
		if action == "quarantine" {
			c.fail(steps, `such mail is only marked, as nothing says where it is put: "Verify": {"quarantine": "+junk"}`)
		}
	}
	aside(v.OwnDomains, at("Verify", "own_domains")...)
	aside(v.NoAuthor, at("Verify", "no_author")...)
	aside(v.SPF, at("Verify", "spf")...)
	for i, l := range v.Lists {
		for j, code := range l.Codes {
			aside(code.Action, at("Verify", "Lists", i, "Codes", j, "action")...)
		}
	}
}

func (c *checker) list(l *DNSList, i int, names map[string]bool) {
	here := func(steps ...any) []any { return append(at("Verify", "Lists", i), steps...) }
	keyed := strings.Contains(strings.ToLower(l.Zone), "{key}")
	zone := strings.ReplaceAll(strings.ToLower(l.Zone), "{key}", "key")
	switch {
	case l.Zone == "":
		c.failMissing(here(), `a zone is missing: "zone": "zen.example.org"`)
	case checkDomain(strings.Trim(zone, ".")) != nil:
		c.fail(here("zone"), "%w", checkDomain(l.Zone))
	case keyed && l.Key == "":
		c.fail(here("zone"), "there is no key for {key}; write it into a file, and \"key_file\": \"list.key\"")
	case !keyed && l.Key != "":
		c.fail(here("zone"), `it does not say where the key stands: "{key}.%s"`, strings.Trim(zone, "."))
	case keyed && checkDomain(l.AskedZone()) != nil:
		c.failSecret(here("key"), "it cannot be part of a name in the DNS")
	}
	c.line(here("name"), l.Name)
	if strings.ContainsAny(l.Name, " \t;()\"") {
		c.fail(here("name"), "it must be one word")
	}
	if names[l.PublicName()] {
		c.fail(here("zone"), "%s stands here twice; one list may have several Codes", l.PublicName())
	}
	names[l.PublicName()] = true
	if len(l.Codes) == 0 {
		c.failMissing(here(), `its answers mean nothing without "Codes": [{"codes": "127.0.0.2", "action": "refuse"}]`)
	}
	for j, code := range l.Codes {
		if _, err := dnslist.ParseCodes(code.Codes); err != nil {
			c.fail(here("Codes", j, "codes"), "%w", err)
		}
		if code.Action == "" {
			c.failMissing(here("Codes", j), `an action is missing: "action": "mark"`)
		}
		c.line(here("Codes", j, "text"), code.Text)
	}
}
