package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dkim"
)

// world is a DNS: texts, addresses and names by name or address. A name whose text is "dead" does not answer.
type world struct {
	txt   map[string]string
	addrs map[string]string
	names map[string]string
	dead  bool            // nothing answers
	gone  map[string]bool // names that there are not
	asked atomic.Int64

	reversed atomic.Int64 // of these, for names of addresses
}

func (w *world) missing(ctx context.Context, name, found string) error {
	w.asked.Add(1)
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.dead || found == "dead" {
		<-ctx.Done()
		return &net.DNSError{Err: "time-out", Name: name, IsTimeout: true}
	}
	if found == "" {
		return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return nil
}

func (w *world) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if err := w.missing(ctx, name, w.txt[name]); err != nil {
		return nil, err
	}
	return []string{w.txt[name]}, nil
}

func (w *world) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if err := w.missing(ctx, host, w.addrs[host]); err != nil {
		return nil, err
	}
	a := netip.MustParseAddr(w.addrs[host])
	if a.Is4() != (network == "ip4") {
		return nil, w.missing(ctx, host, "")
	}
	return []netip.Addr{a}, nil
}

func (w *world) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	return nil, w.missing(ctx, name, "")
}

func (w *world) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	w.reversed.Add(1)
	if err := w.missing(ctx, addr, w.names[addr]); err != nil {
		return nil, err
	}
	return []string{w.names[addr]}, nil
}

func (w *world) NameExists(ctx context.Context, name string) (bool, error) {
	return !w.gone[name], nil
}

const (
	client = "192.0.2.7"    // of a.test
	here   = "198.51.100.9" // this host's
)

// newWorld has domains that ask for everything, each with SPF for the client, and domains
// under their own names with the same wish without.
func newWorld(t *testing.T) (*world, map[string]*dkim.Signer) {
	w := &world{
		txt: map[string]string{
			"a.test.": "v=spf1 ip4:192.0.2.0/24 -all", "other.test.": "v=spf1 ip4:198.51.100.0/24 -all", "slow.test.": "dead",
			"slow.reject.test.": "dead", "slow.home.test.": "dead", "_dmarc.slow.test.": "dead", "_dmarc.own.reject.test.": "v=DMARC1; p=reject",
			"_dmarc.none.test.": "v=DMARC1; p=none", "_dmarc.quarantine.test.": "v=DMARC1; p=quarantine", "_dmarc.reject.test.": "v=DMARC1; p=reject",
			"_dmarc.a.test.": "v=DMARC1; p=reject",
			"late.test.":     "dead", "_dmarc.late.test.": "v=DMARC1; p=reject",
		},
		addrs: map[string]string{"mx.a.test.": client, "forged.test.": "203.0.113.1"},
		names: map[string]string{client: "mx.a.test.", "192.0.2.8": "forged.test.", "192.0.2.9": "dead"},
	}
	signers := make(map[string]*dkim.Signer)
	key, err := dkim.GenerateKey("rsa")
	if err != nil {
		t.Fatal(err)
	}
	record, err := dkim.Record(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"none.test", "quarantine.test", "reject.test", "list.test", "home.test", "sub.home.test"} {
		w.txt["s._domainkey."+d+"."] = record
		signers[d] = &dkim.Signer{Domain: d, Keys: []dkim.SigningKey{{Selector: "s", Key: key}}}
	}
	for _, d := range []string{"slowkey.test", "slow.reject.test", "slow.home.test"} {
		w.txt["s._domainkey."+d+"."] = "dead"
		signers[d] = &dkim.Signer{Domain: d, Keys: []dkim.SigningKey{{Selector: "s", Key: key}}}
	}
	return w, signers
}

// mail is one message on its way in.
type mail struct {
	from, header string // envelope's sender; fields of the header without the last line end
	signed       string // by this domain
	changed      bool   // its body, after it was signed
	client       string // "": the client of a.test
	helo         string // "": its name
	to           string
	too          string // another recipient
	trusted      bool
	lmtp         bool
}

var rules = Rules{Name: "mx.home.test", DMARC: Refuse, OwnDomains: Refuse, SPF: Note, IsOwn: func(d domains.Name) bool { return d == "home.test" }}

func newVerifier(w Resolver, r *Rules) *Verifier {
	return &Verifier{Resolver: w, Rules: func() *Rules { return r }, Log: slog.New(slog.DiscardHandler)}
}

// bring has a message pass a Verifier. found is nil if it was not looked at.
func bring(t *testing.T, v *Verifier, signers map[string]*dkim.Signer, m mail) (found *post.Findings, refused *smtp.Reply) {
	t.Helper()
	body := "Hello,\r\n\r\nthis is it.\r\n"
	text := m.header + "\r\n\r\n"
	if m.signed != "" {
		signing, err := signers[m.signed].Sign(text)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(signing, body)
		fields, err := signing.Finish()
		if err != nil {
			t.Fatal(err)
		}
		text = strings.Join(fields, "") + text
	}
	if m.changed {
		body += "Sent by a list.\r\n"
	}
	header, rest, err := rfc2822.Peek(strings.NewReader(text+body), 0)
	if err != nil {
		t.Fatal(err)
	}
	if m.client == "" {
		m.client = client
	}
	s := &smtp.Session{Identity: lineserver.Identity{ID: "s", RemoteAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(m.client), 4000)),
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(here), 25))}, Helo: orElse(m.helo, "mx.a.test"), LMTP: m.lmtp}
	from, err := smtp.ParsePath("<"+m.from+">", smtp.PathUTF8|smtp.PathNull)
	if err != nil {
		t.Fatal(err)
	}
	to, err := smtp.ParsePath("<"+orElse(m.to, "bob@home.test")+">", smtp.PathUTF8)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Sender(t.Context(), s, from, m.trusted); err != nil {
		t.Fatal(err)
	}
	e := &smtp.Envelope{Session: s, ID: "s-1", From: from, To: []smtp.Recipient{{Path: to}}}
	if m.too != "" {
		too, err := smtp.ParsePath("<"+m.too+">", 0)
		if err != nil {
			t.Fatal(err)
		}
		e.To = append(e.To, smtp.Recipient{Path: too})
	}
	i := v.Inspect(t.Context(), &post.Look{Envelope: e, Header: header, Trusted: m.trusted})
	if i == nil {
		return nil, nil
	}
	all, err := io.ReadAll(rest)
	if err != nil {
		t.Fatal(err)
	}
	for _, octet := range all[header.Size():] {
		if _, err = i.Write([]byte{octet}); err != nil {
			break
		}
	}
	var f post.Findings
	if err == nil {
		f, err = i.Findings(t.Context())
	}
	if errors.As(err, &refused) {
		return &f, refused
	}
	if err != nil {
		t.Fatal(err)
	}
	return &f, nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// outcome is "refused", "marked" or "taken", with the results that stand on top.
func outcome(t *testing.T, found *post.Findings, refused *smtp.Reply) (what string, results rfc2822.AuthResults) {
	t.Helper()
	if refused != nil {
		return "refused", results
	}
	m, err := rfc2822.ReadString(strings.Join(found.Results, "") + "\r\n")
	if err != nil {
		t.Fatal(err)
	}
	results, ok := rfc2822.ParseAuthResults(m.Header.Get("Authentication-Results"))
	if !ok || results.AuthServID != rules.Name {
		t.Errorf("not to be read: %q", found.Results)
	}
	what = "taken"
	if m.Header.Get("X-Spam-Flag") == "YES" {
		what = "marked"
	}
	return what, results
}

func resultOf(r rfc2822.AuthResults, method string) string {
	var all []string
	for _, one := range r.Results {
		if one.Method == method {
			all = append(all, one.Result)
		}
	}
	return strings.Join(all, " ")
}

// TestPolicies: whatever a domain asks for, and whatever is found out about a message in its
// name, what is done with it is certain, and seen from what stands on top.
func TestPolicies(t *testing.T) {
	w, signers := newWorld(t)
	for _, c := range []struct {
		m                     mail
		want, spf, dkim, dmrc string
	}{
		{mail{from: "x@a.test", header: "From: x@none.test", signed: "none.test"}, "taken", "pass", "pass", "pass"},
		{mail{from: "x@a.test", header: "From: x@none.test"}, "taken", "pass", "none", "fail"},
		{mail{from: "x@a.test", header: "From: x@quarantine.test", signed: "quarantine.test"}, "taken", "pass", "pass", "pass"},
		{mail{from: "x@a.test", header: "From: x@quarantine.test", signed: "quarantine.test", changed: true}, "marked", "pass", "fail", "fail"},
		{mail{from: "x@a.test", header: "From: x@reject.test", signed: "reject.test"}, "taken", "pass", "pass", "pass"},
		{mail{from: "x@a.test", header: "From: x@reject.test", signed: "reject.test", changed: true}, "refused", "", "", ""},
		{mail{from: "x@a.test", header: "From: x@reject.test"}, "refused", "", "", ""},
		{mail{from: "x@a.test", header: "From: x@sub.reject.test"}, "refused", "", "", ""},
		{mail{from: "x@a.test", header: "From: x@a.test"}, "taken", "pass", "none", "pass"},
		{mail{from: "x@a.test", header: "From: x@a.test", client: "198.51.100.1"}, "refused", "", "", ""},
		{mail{from: "x@other.test", header: "From: x@other.test"}, "taken", "fail", "none", "none"}, // SPF alone refuses nobody
		{mail{from: "", header: "From: x@nothing.test"}, "taken", "none", "none", "none"},
		// A list that stands for itself is marked, one that does not is refused.
		{mail{from: "x@none.test", header: "List-Id: <l.list.test>\r\nFrom: x@reject.test", signed: "list.test"}, "marked", "none", "pass", "fail"},
		{mail{from: "x@none.test", header: "List-Id: <l.list.test>\r\nFrom: x@reject.test"}, "refused", "", "", ""},
		// Nothing is refused for want of an answer that might have spoken for it, ...
		{mail{from: "x@slow.reject.test", header: "From: x@reject.test"}, "marked", "temperror", "none", "fail"},
		{mail{from: "x@a.test", header: "From: x@reject.test", signed: "slow.reject.test"}, "marked", "pass", "temperror", "fail"},
		{mail{from: "x@a.test", header: "From: x@own.reject.test", signed: "slow.reject.test"}, "marked", "pass", "temperror", "fail"}, // beside it
		// ... and a domain of the forger's that does not answer is no excuse.
		{mail{from: "x@slow.test", header: "From: x@reject.test"}, "refused", "", "", ""},
		{mail{from: "", helo: "slow.test", header: "From: x@reject.test"}, "refused", "", "", ""},
		{mail{from: "x@late.test", header: "From: x@late.test"}, "marked", "temperror", "none", "fail"},
		{mail{from: "x@a.test", header: "From: x@reject.test", signed: "slowkey.test"}, "refused", "", "", ""},
		{mail{from: "x@slow.test", header: "From: x@slow.test, x@reject.test"}, "refused", "", "", ""},
		// What a reader might see as one of several authors.
		{mail{from: "x@a.test", header: "From: x@a.test\r\nFrom: x@reject.test"}, "refused", "", "", ""},
		{mail{from: "x@a.test", header: "From: x@a.test, x@reject.test"}, "refused", "", "", ""},
		{mail{from: "x@a.test", header: "From: x@none.test, x@nothing.test"}, "taken", "pass", "none", "permerror"},
		{mail{from: "x@a.test", header: "From: x@b1.test, x@b2.test, x@b3.test, x@b4.test, x@reject.test"}, "refused", "", "", ""},
		{mail{from: "x@a.test", header: "From: x@reject.test, <y@@nothing.test>"}, "refused", "", "", ""},
		{mail{from: "x@a.test", header: "From: x@a.test, <y@@nothing.test>"}, "taken", "pass", "none", "permerror"},
		{mail{from: "x@a.test", header: "Subject: no author"}, "taken", "pass", "none", "permerror"},
	} {
		synctest.Test(t, func(t *testing.T) {
			found, refused := bring(t, newVerifier(w, &rules), signers, c.m)
			what, r := outcome(t, found, refused)
			if what != c.want {
				t.Errorf("%+v: %s, not %s (%v)", c.m, what, c.want, refused)
			}
			if what == "refused" || c.want == "refused" {
				return
			}
			if got := [3]string{resultOf(r, "spf"), resultOf(r, "dkim"), resultOf(r, "dmarc")}; got != [3]string{c.spf, c.dkim, c.dmrc} {
				t.Errorf("%+v: %q", c.m, got)
			}
		})
	}
}

// TestOwnDomains: mail in the name of a domain of this host that nothing shows to be from there is
// refused by default, whether or not the domain has any record, lists too, and trusted
// hosts and dead resolvers soften that.
func TestOwnDomains(t *testing.T) {
	w, signers := newWorld(t)
	own := rules
	own.Forwarders = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	own.ForwardingHosts = domains.NewMap(map[string]bool{".a.test": true})
	second := rules
	second.OtherMX = []string{"forged.test", "mx2.test."}
	slow := own
	slow.Forwarders = nil
	marking, noting := rules, rules
	marking.OwnDomains, noting.OwnDomains = Mark, Note
	for _, c := range []struct {
		r    *Rules
		m    mail
		want string
	}{
		{&rules, mail{from: "boss@home.test", header: "From: boss@home.test"}, "refused"},
		{&rules, mail{from: "x@a.test", header: "From: Boss <boss@HOME.test>"}, "refused"},
		{&rules, mail{from: "x@a.test", header: "From: x@a.test, boss@home.test"}, "refused"},
		{&rules, mail{from: "x@a.test", header: "From: x@a.test\r\nFrom: boss@home.test", signed: "home.test"}, "refused"},
		{&rules, mail{from: "x@a.test", header: "From: boss@home.test", signed: "home.test"}, "taken"},
		{&rules, mail{from: "x@a.test", header: "From: boss@home.test", signed: "sub.home.test"}, "taken"},
		{&rules, mail{from: "x@a.test", header: "From: boss@home.test", signed: "home.test", changed: true}, "refused"},
		{&rules, mail{from: "x@a.test", header: "List-Id: <l.list.test>\r\nFrom: boss@home.test", signed: "list.test"}, "refused"},
		{&rules, mail{from: "x@slow.home.test", header: "From: boss@home.test"}, "marked"},
		{&rules, mail{from: "x@a.test", header: "From: boss@home.test", signed: "slow.home.test"}, "marked"},
		{&rules, mail{from: "x@slow.test", header: "From: boss@home.test"}, "refused"},
		{&rules, mail{from: "", helo: "slow.test", header: "From: boss@home.test"}, "refused"},
		{&rules, mail{from: "x@a.test", header: "From: boss@home.test", signed: "slowkey.test"}, "refused"},
		{&marking, mail{from: "x@a.test", header: "From: boss@home.test"}, "marked"},
		{&noting, mail{from: "x@a.test", header: "From: boss@home.test"}, "taken"},
		{&own, mail{from: "x@a.test", header: "From: boss@home.test"}, "marked"},                          // mx.a.test by its confirmed name
		{&own, mail{from: "x@a.test", header: "From: boss@home.test", client: "203.0.113.9"}, "marked"},   // by its address
		{&own, mail{from: "x@a.test", header: "From: boss@home.test", client: "192.0.2.8"}, "refused"},    // a name that does not lead back
		{&own, mail{from: "x@a.test", header: "From: boss@home.test", client: "198.51.100.4"}, "refused"}, // nobody
		// A host that its name does not lead back from, and that takes mail while this one is away.
		{&second, mail{from: "x@a.test", header: "From: boss@home.test", client: "203.0.113.1"}, "marked"},
		{&second, mail{from: "x@a.test", header: "From: x@reject.test", client: "203.0.113.1"}, "marked"},
		{&second, mail{from: "x@a.test", header: "From: boss@home.test", client: "198.51.100.4"}, "refused"},
		// Who it is cannot be found out now.
		{&slow, mail{from: "x@a.test", header: "From: boss@home.test", client: "192.0.2.9"}, "marked"},
		{&rules, mail{from: "x@a.test", header: "From: boss@home.test", client: "192.0.2.9"}, "refused"},
	} {
		synctest.Test(t, func(t *testing.T) {
			found, refused := bring(t, newVerifier(w, c.r), signers, c.m)
			if what, _ := outcome(t, found, refused); what != c.want {
				t.Errorf("%+v: %s, not %s (%v)", c.m, what, c.want, refused)
			}
			if refused != nil && (refused.Code != 550 || !strings.Contains(refused.Text, "home.test") || !strings.Contains(refused.Text, "Verify.forwarders")) {
				t.Errorf("%+v: %v", c.m, refused)
			}
		})
	}
}

// TestSettings: what is done is as much as the settings want, and for the recipient's domain.
func TestSettings(t *testing.T) {
	w, signers := newWorld(t)
	set := func(change func(*Rules)) *Rules { r := rules; change(&r); return &r }
	refused := mail{from: "x@a.test", header: "From: x@reject.test"}
	spf := mail{from: "x@other.test", header: "From: x@other.test"}
	nobody := mail{from: "x@a.test", header: "Subject: no author"}
	twice := mail{from: "x@a.test", header: "From: x@nothing.test\r\nFrom: x@nothing.test"}
	both := refused
	both.too = "bob@else.test"
	for name, c := range map[string]struct {
		r    *Rules
		m    mail
		want string
	}{
		"DMARC marks":               {set(func(r *Rules) { r.DMARC = Mark }), refused, "marked"},
		"DMARC notes":               {set(func(r *Rules) { r.DMARC = Note }), refused, "taken"},
		"DMARC notes, quarantine":   {set(func(r *Rules) { r.DMARC = Note }), mail{from: "x@a.test", header: "From: x@quarantine.test"}, "taken"},
		"SPF refuses":               {set(func(r *Rules) { r.SPF = Refuse }), spf, "refused"},
		"SPF marks":                 {set(func(r *Rules) { r.SPF = Mark }), spf, "marked"},
		"no author, nothing said":   {&rules, nobody, "taken"},
		"no author noted":           {set(func(r *Rules) { r.NoAuthor = Note }), nobody, "taken"},
		"no author marked":          {set(func(r *Rules) { r.NoAuthor = Mark }), nobody, "marked"},
		"no author refused":         {set(func(r *Rules) { r.NoAuthor = Refuse }), nobody, "refused"},
		"From twice":                {set(func(r *Rules) { r.NoAuthor = Refuse }), twice, "refused"},
		"From of nobody":            {set(func(r *Rules) { r.NoAuthor = Refuse }), mail{from: "x@a.test", header: "From: nobody"}, "refused"},
		"one author":                {set(func(r *Rules) { r.NoAuthor = Refuse }), mail{from: "x@a.test", header: "From: x@nothing.test"}, "taken"},
		"two authors":               {set(func(r *Rules) { r.NoAuthor = Refuse }), mail{from: "x@a.test", header: "From: x@none.test, x@nothing.test"}, "taken"},
		"From twice, one asks":      {set(func(r *Rules) { r.NoAuthor = Note }), mail{from: "x@a.test", header: "From: x@a.test\r\nFrom: x@reject.test"}, "refused"},
		"no author, softer":         {set(func(r *Rules) { r.NoAuthor = Refuse; r.Softest = map[domains.Name]Action{"home.test": Mark} }), nobody, "marked"},
		"softer for the recipient":  {set(func(r *Rules) { r.Softest = map[domains.Name]Action{"home.test": Mark} }), refused, "marked"},
		"softest for the recipient": {set(func(r *Rules) { r.Softest = map[domains.Name]Action{"home.test": Note} }), refused, "taken"},
		"softest for one of two":    {set(func(r *Rules) { r.Softest = map[domains.Name]Action{"home.test": Note} }), both, "marked"},
		"softest for both":          {set(func(r *Rules) { r.Softest = map[domains.Name]Action{"home.test": Note, "else.test": Note} }), both, "taken"},
		"one marks, the other not":  {set(func(r *Rules) { r.DMARC = Mark; r.Softest = map[domains.Name]Action{"home.test": Note} }), both, "marked"},
		"softer for others":         {set(func(r *Rules) { r.Softest = map[domains.Name]Action{"else.test": Mark} }), refused, "refused"},
		"never harder":              {set(func(r *Rules) { r.DMARC = Note; r.Softest = map[domains.Name]Action{"home.test": Mark} }), refused, "taken"},
	} {
		found, reply := bring(t, newVerifier(w, c.r), signers, c.m)
		if what, _ := outcome(t, found, reply); what != c.want {
			t.Errorf("%s: %s, not %s", name, what, c.want)
		}
	}
	if _, reply := bring(t, newVerifier(w, &rules), signers, refused); reply == nil || reply.Enhanced != "5.7.26" || !strings.Contains(reply.Text, "reject.test asks for p=reject") {
		t.Errorf("%v", reply)
	}
	if _, reply := bring(t, newVerifier(w, set(func(r *Rules) { r.SPF = Refuse })), signers, spf); reply == nil || reply.Enhanced != "5.7.23" {
		t.Errorf("%v", reply)
	}
}

// TestNoAuthorReply: who is refused for his From hears that it is his message, and no check, that is wrong.
func TestNoAuthorReply(t *testing.T) {
	w, signers := newWorld(t)
	r := rules
	r.NoAuthor = Refuse
	_, reply := bring(t, newVerifier(w, &r), signers, mail{from: "x@a.test", header: "Subject: no author"})
	if reply == nil || reply.Code != 550 || reply.Enhanced != "5.6.0" || !strings.Contains(reply.Text, "From is missing") {
		t.Errorf("%v", reply)
	}
}

// TestOnlyStrangers: who may send through this host is not looked at, nor what comes by LMTP.
func TestOnlyStrangers(t *testing.T) {
	w, signers := newWorld(t)
	v := newVerifier(w, &rules)
	for _, m := range []mail{{trusted: true}, {lmtp: true}, {client: "127.0.0.1"}, {client: "::1"}, {client: here}} {
		m.from, m.header = "boss@home.test", "From: boss@home.test"
		if found, reply := bring(t, v, signers, m); found != nil || reply != nil {
			t.Errorf("%+v was looked at", m)
		}
	}
	if n := w.asked.Load(); n != 0 {
		t.Errorf("%d questions were asked", n)
	}
	off := newVerifier(w, nil)
	if found, _ := bring(t, off, signers, mail{from: "boss@home.test", header: "From: boss@home.test"}); found != nil {
		t.Error("looked at, and the settings check nobody")
	}
}

// TestDeadResolver: DNS that does not answer delays a message for as long as it may, and
// refuses nobody.
func TestDeadResolver(t *testing.T) {
	w, signers := newWorld(t)
	w.dead = true
	for header, signed := range map[string]string{"From: x@reject.test": "reject.test", "From: boss@home.test": "home.test", "From: x@a.test, y@b.test": "reject.test"} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			found, refused := bring(t, newVerifier(w, &rules), signers, mail{from: "x@a.test", header: header, signed: signed})
			what, r := outcome(t, found, refused)
			if what == "refused" || resultOf(r, "spf") != "temperror" {
				t.Errorf("%s: %s, %+v", header, what, r)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestGateway: strangers that all come from one private address are nobody to judge, and the
// operator is told.
func TestGateway(t *testing.T) {
	w, signers := newWorld(t)
	v := newVerifier(w, &rules)
	for n := range 60 {
		found, refused := bring(t, v, signers, mail{from: "x@other.test", header: "From: x@other.test", client: "172.17.0.1"})
		what, r := outcome(t, found, refused)
		if what != "taken" || !strings.HasPrefix(resultOf(r, "spf"), "none") || resultOf(r, "iprev") != "none" {
			t.Fatalf("%s, %+v", what, r)
		}
		if err := v.Problem(); (err != nil) != (n+1 >= natRow) {
			t.Errorf("after %d: %v", n+1, err)
		}
	}
	for _, header := range []string{"From: x@reject.test", "From: boss@home.test"} { // it may be anybody's
		found, refused := bring(t, v, signers, mail{from: "x@a.test", header: header, client: "172.17.0.1"})
		if what, _ := outcome(t, found, refused); what != "marked" {
			t.Errorf("%s from the gateway was %s", header, what)
		}
	}
	bring(t, v, signers, mail{from: "x@a.test", header: "From: x@a.test"})
	if err := v.Problem(); err != nil {
		t.Errorf("%v", err)
	}
}

// TestWhyRefused: what the log says of a refusal is enough to mend what was wrong: who should have spoken
// for the message and who did, each once.
func TestWhyRefused(t *testing.T) {
	w, signers := newWorld(t)
	for _, c := range []struct {
		m    mail
		want string
	}{
		{mail{from: "x@a.test", header: "From: x@reject.test", signed: "list.test"}, "author=reject.test spf=pass dkim=pass dmarc=fail spf_domain=a.test signers=list.test:pass client=mx.a.test"},
		{mail{from: "x@a.test", header: "DKIM-Signature: v=1; d=b.test; s=\r\nDKIM-Signature: v=1; d=b.test; s=\r\nFrom: x@reject.test", signed: "list.test"},
			"author=reject.test spf=pass dkim=pass dmarc=fail spf_domain=a.test signers=list.test:pass,b.test:permerror client=mx.a.test"},
		{mail{from: "", helo: "none.test", client: "203.0.113.9", header: "From: x@reject.test"}, "author=reject.test spf=none dkim=none dmarc=fail spf_domain=none.test"},
	} {
		_, refused := bring(t, newVerifier(w, &rules), signers, c.m)
		var got []string
		for _, f := range refused.Facts() {
			got = append(got, f.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %s", c.m, strings.Join(got, " "))
		}
	}
}

// otherAddr is an address that is not of TCP.
// TestForgery: what a stranger writes never becomes a result, a field or a line of its own.
func TestForgery(t *testing.T) {
	w, signers := newWorld(t)
	v := newVerifier(w, &rules)
	for _, evil := range []string{`"a;dkim=pass header.d=bank.test"@a.test`, `"x\"; spf=pass"@a.test`, `"(comment"@a.test`} {
		found, refused := bring(t, v, signers, mail{from: evil, header: "From: x@none.test\r\nDKIM-Signature: v=1; d=bank.test; s=(; i=\";dmarc=pass; b=;\r\nSubject: s"})
		what, r := outcome(t, found, refused)
		if what != "taken" {
			t.Fatal(what)
		}
		if got := fmt.Sprint(resultOf(r, "dkim"), " ", resultOf(r, "dmarc"), " ", resultOf(r, "spf")); got != "permerror fail pass" {
			t.Errorf("%s: %s in %q", evil, got, found.Results)
		}
	}
}
