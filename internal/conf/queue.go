package conf

import (
	"net/netip"
	"time"

	"github.com/postrider-mail/postrider/parsers/config"
)

// Queue is about mail that must leave.
type Queue struct {
	// Whether mail for other hosts is taken, from those who may send it, and
	// delivered. If this is false it is refused with 550: a server that only
	// catches mail.
	Deliver bool `json:"deliver" conf:"restart"`

	// Whether messages are sealed with the server's key (secret_key_file) while
	// they wait: who gets the disk and not that file reads none of them. Who
	// wrote to whom is not hidden. What waits already stays as it is, and what
	// was sealed is sent when this is false again, as long as the key is there.
	Seal bool `json:"seal"`

	// Other ways for mail than the MX records of its domain. The route of the
	// domain itself is taken before one for all below a domain above it
	// (".example.com"), and that before the one for "*".
	//
	//	"Routes": [
	//	    {"domain": "*", "host": "smtp.provider.example", "port": 587, "tls": "verify",
	//	     "user": "me@provider.example", "password_file": "provider.password"},
	//	    {"domain": "lists.example.com", "host": ["10.0.0.7", "10.0.0.8"], "protocol": "lmtp"},
	//	]
	Routes []Route `json:"Routes"`

	// What is different for mail to some domains: "example.com" itself,
	// ".example.com" or "*.example.com" all below it, "*" all others; several
	// of them with commas between. The most particular one counts.
	//
	//	"Domains": {
	//	    "bank.example": {"tls": "verify"},
	//	    "slow.example, .slow.example": {"retry_first": "30m", "expire_after": "10d"},
	//	}
	Domains map[string]*QueueDomain `json:"Domains"`

	// The wait after the first attempt that failed. Each later wait is twice
	// as long, up to retry_max.
	RetryFirst time.Duration `json:"retry_first" min:"1s"`

	// The longest wait between two attempts.
	RetryMax time.Duration `json:"retry_max"`

	// When to give up and tell the sender.
	ExpireAfter time.Duration `json:"expire_after" min:"1h"`

	// When to tell the sender that the message is still waiting. Zero means
	// never.
	DelayWarningAfter time.Duration `json:"delay_warning_after"`

	// Attempts that run at a time.
	Concurrency int `json:"concurrency" min:"1" max:"100000"`

	// Attempts that run at a time to one domain or route. There are fewer at
	// first; it must prove able to take more.
	DestinationConcurrency int `json:"destination_concurrency" min:"1" max:"100000"`

	// Messages that one connection carries.
	MessagesPerConnection int `json:"messages_per_connection" min:"1" max:"2147483647"`

	// Messages that may wait. More are refused with 452 until there is room,
	// and those who send them try again. Zero means no limit but the disk's.
	MaxMessages int `json:"max_messages" min:"0" max:"2147483647"`

	// What they may hold together. Zero means no limit but the disk's.
	MaxOctets config.Size `json:"max_octets"`

	// The servers to ask the DNS through: "127.0.0.1", "[::1]:5353". Empty
	// means those of /etc/resolv.conf.
	DNSServers []string `json:"dns_servers"`

	// Whether these servers validate DNSSEC and nobody can change their
	// answers on the way here, because they run on this host or at the end of
	// a tunnel. Only then does DANE (RFC 7672) protect, and is it done.
	DNSSECTrusted bool `json:"dnssec_trusted"`

	// Whether the policies of domains that have some (MTA-STS, RFC 8461) are
	// fetched over HTTPS and obeyed.
	MTASTS bool `json:"mta_sts"`

	// An address of yours. With it, the domains that ask for it are told once
	// a day how TLS to their hosts fared (TLS-RPT, RFC 8460), by mail from this
	// address or over HTTPS. Empty means that they are not.
	TLSReport string `json:"tls_report" conf:"restart"`

	// A file with certificates in PEM of authorities that are believed beside
	// those of the system, where the certificate of another host is verified.
	CAFile string `json:"ca_file" conf:"path"`

	// Whether hosts that have IPv4 addresses are reached by these alone. Large providers refuse
	// mail from IPv6 addresses without a name (PTR); this is for as long as whoever gave you
	// the address has not set it.
	PreferIPv4 bool `json:"prefer_ipv4"`

	// More names that this host receives mail under, beside server_name. A
	// domain whose MX records lead to one of them would send mail in a circle,
	// and is given up.
	OwnNames []string `json:"own_names"`

	// More addresses of the same kind, beside those of this machine: the
	// outer one of a router that forwards port 25, for example.
	OwnAddresses []netip.Addr `json:"own_addresses"`

	// Networks that are dialled where the DNS of a domain leads there, although
	// they are not of the internet: private, loopback, link-local and the like.
	// Anybody may have such addresses in his DNS, to have this host talk to
	// machines behind it; better write a route, which may lead anywhere.
	DialPrivate []netip.Prefix `json:"dial_private"`

	// Whether aliases may lead to addresses elsewhere. The envelope sender of
	// mail that is forwarded so becomes an address in srs_domain, so that the
	// other host's SPF check looks at us; bounces find their way back through
	// it.
	Forward bool `json:"forward"`

	// The domain of rewritten senders (SRS). Mail for it must come here. Empty
	// means server_name.
	SRSDomain string `json:"srs_domain"`
}

// QueueDomain is what is different for mail to a domain.
type QueueDomain struct {
	// As in Queue. Where one of the four times is given, the others are those
	// of Queue, whatever a less particular name says.
	RetryFirst time.Duration `json:"retry_first" conf:"zero" min:"1s"`

	// As in Queue.
	RetryMax time.Duration `json:"retry_max"`

	// As in Queue.
	ExpireAfter time.Duration `json:"expire_after" conf:"zero" min:"1h"`

	// As in Queue; zero means what stands there.
	DelayWarningAfter time.Duration `json:"delay_warning_after"`

	// The TLS that the hosts of the domain must show: "none" (not even where
	// it is offered), "may" (where it is offered, any certificate), "encrypt"
	// (always, any certificate), "verify" (always, and the certificate must
	// fit), "dane" (always, and the certificate must be one that the domain
	// has in the DNS). It overrides the domain's own policy. Empty means "may",
	// or what the domain's policy or what it has shown before demands.
	TLS string `json:"tls" one:"none,may,encrypt,verify,dane"`

	// The address of this machine to send from, to hosts that have addresses
	// of its family.
	SourceAddress netip.Addr `json:"source_address"`

	// The name to give in EHLO. Empty means server_name.
	EHLOName string `json:"ehlo_name"`
}

// Route is where mail for a domain is handed over.
type Route struct {
	// The domain it is for: "example.com", ".example.com" for all below, "*"
	// for all. A route without a domain is taken by messages that an operator
	// sends there ("postrider queue route").
	Domain string `json:"domain"`

	// What it is called in "postrider queue route" and in the log. Empty means
	// its number, from 1, and its domain: "1:example.com".
	Name string `json:"name"`

	// The host, a name, an address or the path of a Unix socket; or a list of
	// them, each tried if none before it took the message.
	Host Targets `json:"host"`

	// Whether to ask for the MX records of host; else its address is.
	MX bool `json:"mx"`

	// The port; zero means 25, 24 for LMTP, 465 for "implicit" TLS.
	Port int `json:"port" min:"0" max:"65535"`

	// "none", "may" (if it is offered), "encrypt" (always), "verify" (always,
	// and the certificate must fit), "dane" (as in Domains), "implicit" (as
	// verify, from the first octet on). Empty means "may", with a user
	// "verify".
	TLS string `json:"tls" one:"none,may,encrypt,verify,dane,implicit"`

	// "smtp" (also if empty) or "lmtp".
	Protocol string `json:"protocol" one:"smtp,lmtp"`

	// The user to log in as.
	User string `json:"user"`

	// The password to log in with, as "postrider conf seal" writes it: sealed
	// with the key in secret_key_file, for this route alone. In clear it works
	// as well, with a warning at each start. "env:NAME" takes it from the
	// environment.
	Password Secret `json:"password"`

	// A file whose first line is the password, sealed or in clear, such as a
	// credential of systemd: "/run/credentials/postrider.service/provider".
	PasswordFile string `json:"password_file" conf:"path"`

	// The mechanisms to log in with. Empty means the strongest that the other
	// host has of SCRAM, CRAM-MD5, PLAIN and LOGIN.
	Mechanisms []string `json:"mechanisms"`

	// The one signature (DKIM) that the host gets where DKIM.ed25519 makes two, for those
	// who refuse the other: "rsa" or "ed25519". Empty means both.
	Signature string `json:"signature" one:"rsa,ed25519"`
}
