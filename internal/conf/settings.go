package conf

import (
	"net/netip"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/rules"
)

// Settings is everything that can be configured. The comments of its fields
// are the manual: "postrider conf doc" prints them.
type Settings struct {
	// The name this server goes by in greetings, in EHLO and in Received
	// fields. It should be a name that DNS knows, and the one in the
	// certificate. Mail to this domain is local. A configuration that says
	// nothing but this is enough: without Listeners, the standard ports are
	// served.
	ServerName string `json:"server_name"`

	// The directory that holds all state. Here and everywhere, a path that is
	// not absolute is taken from the folder of the file that names it.
	DataDir string `json:"data_dir" conf:"path,restart"`

	// Where mailboxes are kept. Empty means "mail" below data_dir.
	MailDir string `json:"mail_dir" conf:"path,restart"`

	// Where outbound mail waits. Empty means "queue" below data_dir; it should
	// be on the same file system as mail_dir, so that both are made durable
	// together.
	QueueDir string `json:"queue_dir" conf:"path,restart"`

	// The file with the key that seals secrets which must be recoverable: those
	// for APOP, passwords of routes, and messages that wait (Queue.seal). It is
	// made when it is needed and not there, readable for its owner only. Keep a
	// copy of it elsewhere. Servers on one database (Store.postgres) need the
	// same one. Empty means "secret.key" below data_dir.
	SecretKeyFile string `json:"secret_key_file" conf:"path"`

	// Who gets mail to postmaster and abuse of a domain that has no account
	// and no alias of that name (RFC 5321 §4.5.1, RFC 2142). Empty means the
	// domain's first account in the order of the alphabet or, if it has none,
	// the first account of all; a mailbox of Verify.quarantine is none.
	Postmaster string `json:"postmaster"`

	// Where to listen. If none is given, a server with a server_name has the
	// standard ports: 25 for mail from the world, 587 (STARTTLS) and 465
	// (TLS) for submission by its users, 110 (STLS) and 995 (TLS) for POP3.
	//
	//	"Listeners": [
	//	    {"address": ":25", "protocol": "smtp"},
	//	    {"address": "[::1]:2525", "protocol": "smtp", "tls": "off"},
	//	    {"address": ":995", "protocol": "pop3", "tls": "implicit", "proxy_from": ["10.0.0.7/32"]},
	//	]
	Listeners []Listener `json:"Listeners"`

	// The domains whose mail is kept here, each with its accounts and aliases
	// by local part. Domains of Accounts, and server_name, are local without
	// standing here.
	//
	//	"Domains": {
	//	    "example.com": {
	//	        "Accounts": {"alice": "$argon2id$v=19$...", "bob": {"password_file": "bob.hash"}},
	//	        "Aliases": {"sales": ["alice", "bob"], "hostmaster": "alice"},
	//	        "plus": "+",
	//	    },
	//	}
	Domains map[string]*Domain `json:"Domains"`

	// The accounts by full address: a password hash as "postrider user add"
	// writes it, or an object.
	//
	//	"Accounts": {
	//	    "alice@example.com": "$argon2id$v=19$m=19456,t=2,p=1$...",
	//	    "bob@example.com": {"password_file": "bob.hash", "quota": "2GB"},
	//	}
	Accounts map[string]*Account `json:"Accounts"`

	// Addresses that lead to other addresses here, one or several. An alias
	// may lead to an alias; loops are refused. "*@example.com" is for whatever
	// nobody else takes.
	//
	//	"Aliases": {"sales@example.com": ["alice@example.com", "bob@example.com"]}
	Aliases map[string]Targets `json:"Aliases"`

	// Mail coming in, from the world and from users.
	SMTP SMTP `json:"SMTP"`

	// How much may leave and come.
	Rates Rates `json:"Rates"`

	// Mail being fetched.
	POP3 POP3 `json:"POP3"`

	// An IMAP server beside this one.
	IMAP IMAP `json:"IMAP"`

	// How passwords are asked for and how guessing is slowed down.
	Auth Auth `json:"Auth"`

	// Accounts that are kept by others, and who else answers for logins.
	Elsewhere Elsewhere `json:"Elsewhere"`

	// Certificates.
	TLS TLS `json:"TLS"`

	// The mailboxes.
	Store Store `json:"Store"`

	// Mail that must leave.
	Queue Queue `json:"Queue"`

	// Mail of strangers: whether it is from whom it says.
	Verify Verification `json:"Verify"`

	// Rules about mail that comes in, from strangers and users: what is refused, marked,
	// slowed down, put aside. In each phase of a session the first that is true decides. Strings
	// are rules as in a file, of which "include" reads one; a rule that is not right leaves those
	// before a reload in force.
	//
	//	"Rules": [
	//	    "accept ip 192.0.2.0/24",
	//	    "reject from @spam.example with message \"No, thank you\"",
	//	    {"at": "to", "do": "stall", "if": "to bob@example.com", "with": {"message": "Not now"}},
	//	    "include mail.rules",
	//	]
	Rules []Rule `json:"Rules"`

	// Signatures of mail that leaves.
	DKIM DKIM `json:"DKIM"`

	// What other hosts tell of mail in the name of domains here, and what they are
	// told.
	Reports Reports `json:"Reports"`

	// What the domains publish in the DNS, as "postrider dns" shows it.
	DNS DNS `json:"DNS"`

	// What is served over HTTP.
	Web Web `json:"Web"`

	// What is written down about the work.
	Log Log `json:"Log"`

	// The control socket that "postrider reload" and its like talk to.
	Admin Admin `json:"Admin"`

	source   *config.Source    // where the values came from; empty for settings made in code
	problems []problem         // what Load could not fill in, for Check
	partial  bool              // not all files could be read
	compiled *rules.Set        // of Rules; nil before they were asked for
	notes    map[string]string // where secrets came from, by path: "environment NAME"
	edited   map[string][]byte // files whose texts are not written yet
}

// Listener is one place to listen.
type Listener struct {
	// "host:port" or ":port" for all addresses; an IPv6 address stands in
	// brackets. "unix:/path" is a Unix socket (LMTP).
	Address string `json:"address"`

	// The FileDescriptorName of the socket unit of systemd that this listens at.
	// Without it, a socket that systemd passes is known by its address.
	Socket string `json:"socket" conf:"restart"`

	// What is spoken: "smtp" (mail from the world, no relaying), "submission"
	// (mail from users, after authentication), "lmtp" (mail from another MTA
	// on this host, RFC 2033), "pop3".
	Protocol Protocol `json:"protocol"`

	// "starttls": offered, and needed before a password is sent (STLS in
	// POP3). "required": nothing works before it. "implicit": TLS from the
	// first octet on (RFC 8314). "off": none. The default is "implicit" for
	// the ports 465 and 995, "off" for lmtp, and "starttls" for all others.
	TLS TLSMode `json:"tls"`

	// The networks whose connections begin with a PROXY protocol header
	// (version 1 or 2) that tells the client's real address. From nobody else
	// is such a header accepted.
	ProxyFrom []netip.Prefix `json:"proxy_from"`

	// The greeting of this listener, instead of that of SMTP or POP3.
	Greeting string `json:"greeting"`

	// Limits of this listener, instead of those of SMTP or POP3. What is not
	// given is as there.
	Limits *ListenerLimits `json:"Limits"`
}

// ListenerLimits are limits that one listener has of its own. Zero means that
// the section's value holds.
type ListenerLimits struct {
	// Connections at a time.
	MaxConnections int `json:"max_connections" conf:"zero" min:"1"`

	// Connections at a time from one IPv4 address or one IPv6 /64.
	MaxConnectionsPerAddress int `json:"max_connections_per_address" conf:"zero" min:"1"`

	// The largest message in octets (SMTP, LMTP).
	MaxMessageSize config.Size `json:"max_message_size" conf:"zero" min:"64KiB" why:"RFC 5321 §4.5.3.1.7"`

	// Recipients of one message (SMTP, LMTP).
	MaxRecipients int `json:"max_recipients" conf:"zero" min:"100" why:"RFC 5321 §4.5.3.1.8"`
}

// Domain is one local domain.
type Domain struct {
	// The accounts by local part: a password hash, or an object.
	Accounts map[string]*Account `json:"Accounts"`

	// Local parts that lead elsewhere. A target without "@" is in this domain.
	Aliases map[string]Targets `json:"Aliases"`

	// The address that gets whatever nobody else takes. Empty means that such
	// mail is refused with 550, which is better unless you need it.
	CatchAll string `json:"catch_all"`

	// The character that begins a detail, as in alice+shop@example.com, which
	// is delivered to alice. Empty means "+". "none" turns it off.
	Plus string `json:"plus"`

	// What each account of this domain may hold, unless it says otherwise.
	// Zero means as in Store.
	Quota config.Size `json:"quota"`

	// What all accounts of this domain may hold together. Zero means no limit.
	TotalQuota config.Size `json:"total_quota"`

	// Messages that each account of this domain may send in an hour, unless it says
	// otherwise. Zero means as in SMTP.
	MessagesPerHour int `json:"messages_per_hour" conf:"zero" min:"1" max:"2147483647"`

	// Recipients that each may name in an hour. Zero means as in SMTP.
	RecipientsPerHour int `json:"recipients_per_hour" conf:"zero" min:"1" max:"2147483647"`

	// Messages that each may send in a day. Zero means as in SMTP.
	MessagesPerDay int `json:"messages_per_day" conf:"zero" min:"1" max:"2147483647"`

	// Recipients that each may name in a day. Zero means as in SMTP.
	RecipientsPerDay int `json:"recipients_per_day" conf:"zero" min:"1" max:"2147483647"`

	// Messages, and recipients, that each may send in a day beyond those of its hours.
	// Zero means as in SMTP.
	Burst int `json:"burst" conf:"zero" min:"1" max:"2147483647"`

	// What all accounts of this domain may send together. Zero means as in
	// Rates.Domain.
	Together *Rate `json:"Together"`

	// The most that is done with mail to this domain that is not from whom it says:
	// "mark" or "note", where Verify would do more. Empty means as in Verify.
	Verify string `json:"verify" one:",mark,note"`

	// As if each account of the domain were disabled: it keeps its mail and receives more, but
	// nobody can log in.
	Disabled bool `json:"disabled"`

	// The selectors that DKIM keys of this domain have in turns, two at least. It is for
	// a domain whose owner leads these names here by CNAME, once and for all
	// ("postrider dns show --delegate"). Empty means that each key has a new one.
	DKIMSelectors []string `json:"dkim_selectors"`
}

// Account is one mailbox and the password to it. A string instead of the
// object is its password.
type Account struct {
	// The hash of the password, as "postrider user add" writes it: argon2id.
	// Read as well are bcrypt ($2a$ $2b$ $2y$), SHA-crypt ($5$ $6$), PBKDF2, and of
	// Dovecot's schemes {ARGON2ID}, {BLF-CRYPT}, {SHA256-CRYPT}, {SHA512-CRYPT},
	// {CRYPT} of these, {PBKDF2}, {SSHA}, {SSHA256}, {SSHA512}, {CRAM-MD5} and
	// {SCRAM-SHA-256}, but none that are too weak (MD5, SHA without a salt) and no
	// yescrypt ($y$, as in /etc/shadow). "env:NAME" takes it from the environment.
	// Empty: nobody can log in with a password, mail is still delivered.
	Password Secret `json:"password"`

	// A file whose first line is the hash of the password.
	PasswordFile string `json:"password_file" conf:"path"`

	// Derived keys for the SCRAM-SHA-256 mechanism, as "postrider user add"
	// writes them: "SCRAM-SHA-256$4096:salt$storedkey:serverkey". They need not be
	// said again where they are the password.
	ScramSHA256 Secret `json:"scram_sha_256"`

	// Derived key for the CRAM-MD5 mechanism, as "postrider user add" writes
	// it. It is worth as much as the password to who can read it.
	CRAMMD5 Secret `json:"cram_md5"`

	// The secret for APOP, sealed with the server's key, as
	// "postrider user add --apop" writes it.
	APOP Secret `json:"apop"`

	// More addresses this account may send from; "*@example.com" for all of
	// a domain. Its own address, with any detail after plus, and the aliases
	// that lead to it are always allowed.
	Addresses []string `json:"addresses"`

	// What the mailbox may hold. Zero means as in its domain or in Store;
	// "none" means no limit.
	Quota Quota `json:"quota"`

	// Messages that the account may send in an hour. Zero means as in its domain or in
	// SMTP.
	MessagesPerHour int `json:"messages_per_hour" conf:"zero" min:"1" max:"2147483647"`

	// Recipients that it may name in an hour. Zero means as in its domain or in SMTP.
	RecipientsPerHour int `json:"recipients_per_hour" conf:"zero" min:"1" max:"2147483647"`

	// Messages that it may send in a day. Zero means as in its domain or in SMTP.
	MessagesPerDay int `json:"messages_per_day" conf:"zero" min:"1" max:"2147483647"`

	// Recipients that it may name in a day. Zero means as in its domain or in SMTP.
	RecipientsPerDay int `json:"recipients_per_day" conf:"zero" min:"1" max:"2147483647"`

	// Messages, and recipients, that it may send in a day beyond those of its hours.
	// Zero means as in its domain or in SMTP.
	Burst int `json:"burst" conf:"zero" min:"1" max:"2147483647"`

	// What DELE followed by QUIT does to this mailbox: "remove", "trash" or
	// "move", as in POP3. Empty means as there.
	Deletion Deletion `json:"deletion"`

	// When messages that were retrieved are removed from this mailbox, as
	// "expire" in POP3. Zero means as there.
	Expire time.Duration `json:"expire"`

	// An account that is disabled keeps its mail and receives more, but
	// nobody can log in.
	Disabled bool `json:"disabled"`

	// The public key that mail to this mailbox is sealed to, so that only its owner
	// can read it, as "postrider user seal" writes it. It is of no use without the keys
	// that stand beside the mail, and is not taken out by hand: "postrider user unseal"
	// does that.
	Sealed string `json:"sealed"`
}

// Mechanisms are those beside PLAIN that the account has secrets for.
func (a *Account) Mechanisms() []string {
	kinds := []string{}
	for _, k := range []struct {
		name   string
		secret Secret
	}{{"SCRAM-SHA-256", a.ScramKeys()}, {"CRAM-MD5", a.CRAMKey()}, {"APOP", a.APOP}} {
		if k.secret != "" {
			kinds = append(kinds, k.name)
		}
	}
	return kinds
}

// ScramKeys are the account's keys for SCRAM-SHA-256: those of its own, or its password
// where that is stored as such keys, as Dovecot's {SCRAM-SHA-256}; else empty.
func (a *Account) ScramKeys() Secret {
	if a.ScramSHA256 == "" && (strings.HasPrefix(string(a.Password), "{SCRAM-SHA-256}") || strings.HasPrefix(string(a.Password), "SCRAM-SHA-256$")) {
		return a.Password
	}
	return a.ScramSHA256
}

// CRAMKey is the account's key for CRAM-MD5: its own, or its password where that is
// stored as such a key, as Dovecot's {CRAM-MD5}; else empty.
func (a *Account) CRAMKey() Secret {
	if a.CRAMMD5 == "" && strings.HasPrefix(string(a.Password), "{CRAM-MD5}") {
		return a.Password
	}
	return a.CRAMMD5
}
