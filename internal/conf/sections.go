package conf

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/postrider-mail/postrider/parsers/config"
)

// SMTP is about mail coming in.
type SMTP struct {
	// What follows the server's name and "ESMTP" in the greeting.
	Greeting string `json:"greeting"`

	// The largest message. It is announced (SIZE, RFC 1870) and enforced.
	MaxMessageSize config.Size `json:"max_message_size" min:"64KiB" why:"RFC 5321 §4.5.3.1.7"`

	// Recipients of one message; 100 is the least RFC 5321 §4.5.3.1.8 allows.
	MaxRecipients int `json:"max_recipients" min:"100" why:"RFC 5321 §4.5.3.1.8"`

	// Connections at a time on each listener.
	MaxConnections int `json:"max_connections" min:"1" max:"2147483647"`

	// Connections at a time from one IPv4 address or one IPv6 /64; four times
	// as many from one IPv6 /48.
	MaxConnectionsPerAddress int `json:"max_connections_per_address" min:"1" max:"2147483647"`

	// Connections a minute from one IPv4 address or one IPv6 /64, half of them
	// at once, for each listener. Zero means any number. Programs of this host
	// are not bound by it, and those in relay_from are not.
	MaxConnectionsPerMinute int `json:"max_connections_per_minute" min:"0" max:"2147483647"`

	// Wrong or refused commands after which a session is ended with 421.
	MaxErrors int `json:"max_errors" min:"1" max:"2147483647"`

	// Failed logins after which a session is ended with 421.
	MaxAuthFailures int `json:"max_auth_failures" min:"1" max:"2147483647"`

	// How long to wait for the next command (RFC 5321 §4.5.3.2.7).
	IdleTimeout time.Duration `json:"idle_timeout" min:"10s"`

	// How long a connection may last in all.
	SessionTimeout time.Duration `json:"session_timeout"`

	// Received fields in a message above which it is taken for one that goes
	// round in a loop (RFC 5321 §6.3).
	MaxHops int `json:"max_hops" min:"10" max:"10000"`

	// Answers to wrong commands and to refused recipients are delayed by this
	// much, which costs guessers more than it costs us.
	Tarpit time.Duration `json:"tarpit" max:"1m" why:"honest clients give up"`

	// The networks that may send mail to anywhere without logging in. Nobody
	// else can: there is no open relay by accident.
	RelayFrom []netip.Prefix `json:"relay_from"`

	// The networks that may use XCLIENT to tell the client's real address and
	// name: filters and proxies.
	XclientFrom []netip.Prefix `json:"xclient_from"`

	// What happens to a message with line endings that are not CRLF. "reject":
	// it is refused with 550, which defeats SMTP smuggling. "normalise": they
	// become CRLF before the message is stored.
	BareNewline BareNewline `json:"bare_newline"`

	// The networks whose messages are normalised also if bare_newline is
	// "reject", and whose clients may leave out angle brackets and end all
	// their lines in LF: old machines in the house.
	NormaliseFrom []netip.Prefix `json:"normalise_from"`

	// Which fields of users' mail must name an address that they may send from.
	// "from": From. "both": Sender as well. "none": nothing but the envelope is
	// looked at.
	OwnFields string `json:"own_fields" one:"from,both,none"`

	// Whether users who have logged in, and clients in relay_from, may ask by VRFY
	// and EXPN which addresses there are here, and who is behind an alias. Nobody
	// else may.
	Vrfy bool `json:"vrfy"`

	// Messages that one user may send in an hour, which begins with the first of them.
	// What is more is refused for now; what he still has in the queue is held, and he
	// and the postmaster are told ("postrider user lift" ends it). So who gets hold of
	// a password does not send without end. Zero means any number.
	MessagesPerHour int `json:"messages_per_hour" min:"0" max:"2147483647"`

	// Recipients that one user may name in an hour, those of all messages together.
	// Zero means any number.
	RecipientsPerHour int `json:"recipients_per_hour" min:"0" max:"2147483647"`

	// Messages that one user may send in a day, which begins with the first of them.
	// Zero means any number.
	MessagesPerDay int `json:"messages_per_day" min:"0" max:"2147483647"`

	// Recipients that one user may name in a day. Zero means any number.
	RecipientsPerDay int `json:"recipients_per_day" min:"0" max:"2147483647"`

	// How many messages, and how many recipients, may go beyond those of a user's
	// hours in the course of a day: a letter to all members, once in a while.
	Burst int `json:"burst" min:"0" max:"2147483647"`

	// Whether a password may cross the network without TLS. Do not.
	CleartextAuth bool `json:"cleartext_auth"`
}

// POP3 is about mail being fetched.
type POP3 struct {
	// What stands in the greeting.
	Greeting string `json:"greeting"`

	// Connections at a time on each listener.
	MaxConnections int `json:"max_connections" min:"1" max:"2147483647"`

	// Connections at a time from one IPv4 address or one IPv6 /64; four times
	// as many from one IPv6 /48.
	MaxConnectionsPerAddress int `json:"max_connections_per_address" min:"1" max:"2147483647"`

	// Connections a minute from one IPv4 address or one IPv6 /64, half of them
	// at once, for each listener. Zero means any number. Programs of this host
	// are not bound by it.
	MaxConnectionsPerMinute int `json:"max_connections_per_minute" min:"0" max:"2147483647"`

	// Wrong commands after which a session is ended.
	MaxErrors int `json:"max_errors" min:"1" max:"2147483647"`

	// Failed logins after which a session is ended.
	MaxAuthFailures int `json:"max_auth_failures" min:"1" max:"2147483647"`

	// How long to wait for the next command; RFC 1939 §3 allows no less than
	// ten minutes.
	IdleTimeout time.Duration `json:"idle_timeout" min:"10m" why:"RFC 1939 §3"`

	// How long a connection may last in all.
	SessionTimeout time.Duration `json:"session_timeout"`

	// What DELE followed by QUIT does. "remove": the message is gone. "trash":
	// it is only hidden from POP3 and kept in the Maildir with the flag T.
	// "move": it is moved to the mailbox's folder deletion_folder, where other
	// Maildir programs find it.
	Deletion Deletion `json:"deletion"`

	// The Maildir folder for "deletion": "move".
	DeletionFolder string `json:"deletion_folder"`

	// How long messages stay that "deletion": "trash" has hidden: until then
	// "postrider store undelete" brings them back. They are removed at the next
	// login after that. Zero means that they stay.
	TrashKeep time.Duration `json:"trash_keep"`

	// Messages that were retrieved are removed when they have been here for
	// this long (whole days, announced as EXPIRE, RFC 2449 §6.7). Zero means
	// never.
	Expire time.Duration `json:"expire"`

	// How soon after a login the same account may log in again (announced as
	// LOGIN-DELAY, RFC 2449 §6.5).
	LoginDelay time.Duration `json:"login_delay" max:"1d"`

	// The networks whose programs may use XCLIENT to tell the client's real
	// address: proxies such as Dovecot's.
	XclientFrom []netip.Prefix `json:"xclient_from"`

	// Whether mail with UTF-8 in its header is for programs that ask for it by the
	// command UTF8, which is offered then; others hear [UTF8] in its place (RFC
	// 6856 §5), and many end there. Otherwise every program gets every message as
	// it is.
	UTF8 bool `json:"utf8"`

	// Whether APOP is offered, for accounts that have an APOP secret. It is
	// weak (MD5) and needs a password that the server can recover.
	APOP bool `json:"apop"`

	// Whether a password may cross the network without TLS. Do not.
	CleartextAuth bool `json:"cleartext_auth"`
}

// Auth is about logins, on all protocols.
type Auth struct {
	// The mechanisms offered, best first. PLAIN, LOGIN and USER/PASS are
	// offered under TLS only (see cleartext_auth). SCRAM-SHA-256-PLUS, which
	// binds the login to the TLS connection, can be put first; it is not by
	// default because programs that use an old GNU SASL (mutt in Debian 12)
	// cannot log in where it is offered.
	Mechanisms []string `json:"mechanisms"`

	// Failed logins from one IPv4 address or one IPv6 /64 within the window,
	// after which more from there are refused unseen; from a private address,
	// which may be a gateway's, only those to accounts that have failed.
	MaxFailuresPerAddress int `json:"max_failures_per_address" min:"1" max:"2147483647"`

	// Failed logins to one account within the window, after which more are
	// refused unseen, wherever they come from, unless that address has
	// logged in to the account before.
	MaxFailuresPerAccount int `json:"max_failures_per_account" min:"1" max:"2147483647"`

	// How long a client may take from connecting to having logged in, for
	// submission and POP3.
	LoginTimeout time.Duration `json:"login_timeout" min:"30s"`

	// How long a failure counts.
	FailureWindow time.Duration `json:"failure_window" min:"1s"`

	// How long a password that was right is remembered (as a keyed hash, in
	// memory only), so that clients which poll do not cost a full argon2id
	// each time. Zero means not at all.
	CacheTime time.Duration `json:"cache_time" max:"1h"`

	// Whether an account without keys for SCRAM-SHA-256, whose password is an old
	// hash taken over from elsewhere, gets them when it logs in with the password.
	// One such account keeps the mechanism from all others. The keys are kept in
	// logins.json in data_dir.
	DeriveKeys bool `json:"derive_keys"`
}

// TLS is about certificates.
type TLS struct {
	// Certificates with their keys. The one whose names fit what the client
	// asks for (SNI) is used, else the first.
	//
	//	"certificates": [{"cert_file": "/etc/ssl/mail.pem", "key_file": "/etc/ssl/mail.key"}]
	Certificates []Certificate `json:"certificates"`

	// One certificate, with the chain up to but without the root, in PEM.
	CertificateFile string `json:"certificate_file" conf:"path"`

	// The key of certificate_file, in PEM.
	CertificateKeyFile string `json:"certificate_key_file" conf:"path"`

	// Certificates obtained from an authority such as Let's Encrypt, and
	// renewed, without any program beside. Those above are used for their
	// names; the self-signed one only until there is a better.
	ACME ACME `json:"ACME"`

	// The oldest version of TLS that is spoken: "1.2" or "1.3".
	MinVersion string `json:"min_version"`

	// Where no certificate is given, make a self-signed one and keep it below
	// data_dir. Servers accept it, users' programs will complain. If this is
	// false, a configuration without a certificate is refused.
	SelfSigned bool `json:"self_signed"`
}

// Certificate is a certificate and its key.
type Certificate struct {
	// The certificate, with the chain up to but without the root, in PEM.
	CertFile string `json:"cert_file" conf:"path"`

	// Its key, in PEM.
	KeyFile string `json:"key_file" conf:"path"`
}

// Store is about mailboxes.
type Store struct {
	// What one mailbox may hold. Zero means no limit.
	Quota config.Size `json:"quota"`

	// How many messages one mailbox may hold. Zero means no limit.
	QuotaMessages int64 `json:"quota_messages"`

	// Whether what a mailbox holds in its folders counts towards its quota, and its
	// domain's. Mail gets there by an IMAP server beside this one, and by "deletion":
	// "move". Otherwise the inbox alone counts.
	QuotaFolders bool `json:"quota_folders" conf:"restart"`

	// A PostgreSQL database (14 or later) that keeps the mail in place of mail_dir, and
	// mail that waits to leave in place of queue_dir, so that several servers can share
	// it: "postgres://mail:password@db1,db2/mail", or words
	// like "host=/run/postgresql dbname=mail". docs/cluster.md has the rest. What holds a
	// password belongs into a file that nobody else can read, or into ~/.pgpass.
	Postgres Secret `json:"postgres" conf:"restart"`

	// How many synchronous standbys the database has to have. With 1 nothing is
	// acknowledged that one of them does not have as well.
	Replicas int `json:"replicas" conf:"restart" min:"0" max:"16"`

	// A bucket of S3-compatible storage that large messages of the database are kept in.
	S3 S3 `json:"S3"`

	// What is left free on the disks of mail_dir and queue_dir for everything
	// else: mail that would go below is refused for now. Zero means a twentieth
	// of the disk, but at least 16MiB and at most 1GiB.
	KeepFree config.Size `json:"keep_free" conf:"restart"`
}

// S3 is about a bucket of S3-compatible storage, for the large messages of a database.
type S3 struct {
	// Its URL: "https://s3.example.net". By http the mail passes in clear. Empty: all mail
	// is in the database.
	Endpoint string `json:"endpoint" conf:"restart"`

	// The region, where the storage has some.
	Region string `json:"region" conf:"restart"`

	// The bucket, which has to be there.
	Bucket string `json:"bucket" conf:"restart"`

	// What the names of all objects begin with: "mail/".
	Prefix string `json:"prefix" conf:"restart"`

	// Who may read, write, list and delete there.
	AccessKey string `json:"access_key" conf:"restart"`

	// The secret that goes with it. "env:NAME" takes it from the environment.
	SecretKey Secret `json:"secret_key" conf:"restart"`

	// A file whose first line is that secret.
	SecretKeyFile string `json:"secret_key_file" conf:"path,restart"`

	// A file with certificates (PEM) of authorities that may have signed the endpoint's,
	// beside those of the system.
	CAFile string `json:"ca_file" conf:"path,restart"`

	// Messages of more than this are in the bucket, but for their beginning. Each message
	// that is on its way in takes so much memory at most, until it is known to be large.
	Above config.Size `json:"above" conf:"restart" min:"64KiB" max:"1MiB" why:"it is memory"`

	// For how long objects stay that no message needs any more. A database can be
	// restored to a moment not longer ago than this, and finds all its mail.
	Keep time.Duration `json:"keep" conf:"restart" min:"1h"`
}

// Reports is about what other hosts tell of mail in the name of domains here, and what
// they are told.
type Reports struct {
	// The address that other hosts send their reports to, of DMARC (RFC 9990) and of
	// TLS (RFC 8460), or a list of such addresses. It is one of a domain here, and
	// no account's: the server reads what comes there, "postrider reports" shows it.
	// An alias may lead to it. Domains ask for reports in the DNS:
	//
	//	_dmarc.example.com.     TXT "v=DMARC1; p=none; rua=mailto:dmarc@example.com"
	//	_smtp._tls.example.com. TXT "v=TLSRPTv1; rua=mailto:dmarc@example.com"
	//
	//	"address": "dmarc@example.com"
	Address Targets `json:"address"`

	// How long reports are kept, and mail that could not be read.
	Keep time.Duration `json:"keep" min:"1d"`

	// Whether domains that ask for it are told once a day how mail in their name
	// fared here: DMARC aggregate reports, from the first address above. Their mail
	// servers take only what is signed for its domain.
	SendDMARC bool `json:"send_dmarc" conf:"restart"`
}

// Log is about what is written down.
type Log struct {
	// "debug" (with the dialogue, passwords struck out), "info", "warn",
	// "error".
	Level slog.Level `json:"level"`

	// "text" or "json".
	Format LogFormat `json:"format" conf:"restart"`

	// The file to append to, opened again on SIGHUP. Empty means standard
	// error.
	File string `json:"file" conf:"path"`

	// How much memory the newest lines may take, for the pages at /admin/: they are packed,
	// and 16MiB hold some 300,000 lines. Older ones are read from the file, if there is one.
	// Where nothing is served over HTTP no memory is taken.
	Recent config.Size `json:"recent" max:"1GiB"`
}

// Admin is about steering the running server.
type Admin struct {
	// The Unix socket for "postrider reload" and its like; only the user the
	// server runs as can open it. Empty means "control.sock" below data_dir.
	Socket string `json:"socket" conf:"path,restart"`

	// The Unix socket for "postrider sendmail", which every user of this host
	// may submit mail through, as themselves: the kernel says who they are.
	// Empty means that only the user the server runs as, and root, can. It
	// must stand in a folder that those users can reach, such as
	// "/run/postrider/submit.sock".
	SubmitSocket string `json:"submit_socket" conf:"path,restart"`

	// What users of this host may send as through that socket, beside their own
	// address, by their login names: "*@example.com" for all of a domain. root,
	// and the user the server runs as, may send as anybody.
	//
	//	"submit_as": {"www-data": ["shop@example.com", "*@example.org"]}
	SubmitAs map[string]Targets `json:"submit_as"`
}
