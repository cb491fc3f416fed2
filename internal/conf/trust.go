package conf

import (
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// Verification is about mail of strangers: whether it is from whom it says. SPF, DKIM and
// DMARC are looked at for whoever has not logged in and may not relay, and what was found
// stands on top of the message, in Authentication-Results.
type Verification struct {
	// Whether anything is looked at.
	Check bool `json:"check"`

	// What is done with mail whose domain asks others to refuse or to mark what it
	// has not sent (DMARC): "refuse" does as it asks, "mark" delivers it with
	// fields by which mail programs know junk, "note" writes down what was found
	// and no more. Mail that came by a list which stands for itself, or by forwarders,
	// is marked at most. Nothing is refused while the DNS of the domain does not answer.
	DMARC string `json:"dmarc" one:"refuse,mark,note"`

	// The same for mail in the name of a domain of this host that neither SPF nor DKIM
	// shows to be from there, whatever the DNS of the domain says. Lists are no exception
	// here: name those that users of this host write to among the forwarders.
	OwnDomains string `json:"own_domains" one:"refuse,quarantine,mark,note"`

	// The same for mail whose From is missing, stands there twice or names nobody, so that
	// there is no domain to ask.
	NoAuthor string `json:"no_author" one:"refuse,quarantine,mark,note"`

	// The same for mail from a host that the sender's domain does not let send (SPF
	// "fail"), where the domain has no DMARC record. Forwarded mail is so, too.
	SPF string `json:"spf" one:"refuse,quarantine,mark,note"`

	// Hosts that bring mail which was somebody else's before, and may write as anybody:
	// addresses, networks, or names (".example.net" for all below) that lead to the client's address
	// and back. A shop, a printer, a newsletter service that writes as your users. Those of
	// DNS.other_mx are such hosts anyway.
	Forwarders []string `json:"forwarders"`

	// What is done with mail of a client that gives in HELO or EHLO a name or an
	// address of this host, and is not here: "refuse", "mark" or "note".
	OwnHello string `json:"own_hello" one:"refuse,mark,note"`

	// What is done with mail whose client has no name in the DNS that leads back to
	// it, where neither SPF nor a signature speaks for the mail: "mark" or "note".
	ReverseName string `json:"reverse_name" one:"mark,note"`

	// The same for a client that gives in HELO or EHLO no name that the DNS knows, nor
	// its own address.
	Hello string `json:"hello" one:"mark,note"`

	// DNS lists that are asked about who brings mail. There is none by default. One that
	// does not answer, or fails its test (RFC 5782), lists nobody, and "postrider
	// status" says so. Lists that allow come before those that do not.
	//
	//	"Lists": [
	//	    {"zone": "zen.example.org", "Codes": [
	//	        {"codes": "127.0.0.2-9", "action": "refuse", "text": "see https://example.org/{ip}"},
	//	    ]},
	//	    {"zone": "list.example.net", "Codes": [{"codes": "127.0.*.1-3", "action": "allow"}]},
	//	]
	Lists []DNSList `json:"Lists"`

	// Mail that has to come twice.
	Greylist Greylist `json:"Greylist"`

	// A program that looks into strangers' mail.
	Scanner Scanner `json:"Scanner"`

	// Programs that look into strangers' mail and speak the milter protocol, such as
	// clamav-milter, in the order in which they are asked.
	//
	//	"Milters": [{"name": "clamav", "address": "unix:/run/clamav/clamav-milter.ctl"}]
	Milters []Milter `json:"Milters"`

	// Where mail is put aside whose domain asks for it (DMARC, "quarantine") or that a
	// list's code is for: an account, "junk@example.com"; or, with "+" before it, the
	// detail of an account of each user, "+junk" for alice+junk@example.com, and who has
	// none gets such mail marked. Empty means that all is delivered, and marked.
	Quarantine string `json:"quarantine"`

	// How long it stays there.
	QuarantineKeep time.Duration `json:"quarantine_keep" min:"1d" max:"3660d"`

	// Whether the fields by which this server marks junk are taken out of strangers'
	// mail, who may have written them to look honest. They stand below ours anyway.
	StripMarks bool `json:"strip_marks"`
}

// DKIM is about signatures of mail that leaves. Keys are made by themselves, in the folder
// dkim below data_dir, and sign when the DNS shows them: "postrider dns show" says what
// to publish there, "postrider dkim" where each is.
type DKIM struct {
	// Whether mail from the domains of this host is signed.
	Sign bool `json:"sign"`

	// The age at which a key gets a successor, which signs once the DNS shows it.
	// Zero means never.
	Rotate time.Duration `json:"rotate" min:"0"`

	// Whether there is a second key beside that of RSA. Not all receivers know its
	// kind, and some report a failure of what they do not know.
	Ed25519 bool `json:"ed25519"`

	// Whether mail that should be signed and cannot be is refused for now, rather than
	// sent without.
	Require bool `json:"require"`
}

// hostName is what stands in Verify.forwarders. No name ends in a number: that is an address with a part missing.
var hostName = regexp.MustCompile(`^\.?([A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?\.)+[A-Za-z][A-Za-z0-9-]*\.?$`)

// ForwarderNetwork reads an element of Verify.forwarders as a network. ok is false for
// one that is a name.
func ForwarderNetwork(s string) (p netip.Prefix, ok bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err == nil
}

// trust checks whom mail is believed to be from, and the names of keys.
func (c *checker) trust() {
	for i, f := range c.Verify.Forwarders {
		p, ok := ForwarderNetwork(f)
		switch {
		case ok && p.Bits() == 0:
			c.fail(at("Verify", "forwarders", i), "%s is everybody; nobody would be checked", f)
		case !ok && (strings.Contains(f, "/") || !hostName.MatchString(f)):
			c.fail(at("Verify", "forwarders", i), "%q is no address, network or host name", f)
		}
	}
	for name, d := range c.Domains {
		if d == nil {
			continue
		}
		for i, s := range d.DKIMSelectors {
			if !selector.MatchString(s) {
				c.fail(at("Domains", name, "dkim_selectors", i), "%q cannot be a selector: letters, digits and hyphens", s)
			}
		}
		if len(d.DKIMSelectors) == 1 {
			c.fail(at("Domains", name, "dkim_selectors"), "two are needed at least: the old key stays while the new one signs")
		}
	}
}

// selector is what one may look like (RFC 6376 §3.1).
var selector = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
