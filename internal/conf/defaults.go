package conf

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/postrider-mail/postrider/parsers/config"
)

// New returns the settings that hold where a configuration says nothing. It
// has no name, no listeners and no accounts.
func New() *Settings {
	return &Settings{
		DataDir: "/var/lib/postrider",
		SMTP: SMTP{
			Greeting:                 "Postrider",
			MaxMessageSize:           50 * config.MiB,
			MaxRecipients:            1000,
			MaxConnections:           2000,
			MaxConnectionsPerAddress: 50,
			MaxConnectionsPerMinute:  600,
			MaxErrors:                10,
			MaxAuthFailures:          3,
			IdleTimeout:              5 * time.Minute,
			SessionTimeout:           2 * time.Hour,
			MaxHops:                  100,
			Tarpit:                   time.Second,
			BareNewline:              BareReject,
			OwnFields:                "from",
			MessagesPerHour:          500,
			RecipientsPerHour:        2000,
			MessagesPerDay:           2000,
			RecipientsPerDay:         5000,
		},
		Rates: Rates{
			Network:      Rate{MessagesPerHour: 2500, RecipientsPerHour: 10000, MessagesPerDay: 10000, RecipientsPerDay: 25000},
			Domain:       Rate{MessagesPerHour: 10000, RecipientsPerHour: 40000, MessagesPerDay: 50000, RecipientsPerDay: 100000},
			All:          Rate{MessagesPerHour: 50000, RecipientsPerHour: 200000, MessagesPerDay: 250000, RecipientsPerDay: 500000},
			Own:          Rate{MessagesPerHour: 5000, MessagesPerDay: 20000},
			SenderDomain: Rate{MessagesPerHour: 4000, MessagesPerDay: 40000},
			Mailbox:      Rate{MessagesPerHour: 2000, MessagesPerDay: 20000},
		},
		POP3: POP3{
			Greeting:                 "Postrider ready",
			MaxConnections:           2000,
			MaxConnectionsPerAddress: 50,
			MaxConnectionsPerMinute:  600,
			MaxErrors:                10,
			MaxAuthFailures:          3,
			IdleTimeout:              10 * time.Minute,
			SessionTimeout:           12 * time.Hour,
			Deletion:                 DeleteRemove,
			DeletionFolder:           "Trash",
			TrashKeep:                30 * 24 * time.Hour,
		},
		Auth: Auth{
			Mechanisms:            []string{"SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN"},
			MaxFailuresPerAddress: 20,
			MaxFailuresPerAccount: 20,
			LoginTimeout:          5 * time.Minute,
			FailureWindow:         15 * time.Minute,
			CacheTime:             10 * time.Minute,
			DeriveKeys:            true,
		},
		Elsewhere: Elsewhere{
			OpenID: OpenID{AudienceClaims: []string{"aud"}, UserClaim: "email", EmailVerified: true,
				Algorithms: []string{"RS256", "PS256", "ES256", "EdDSA"}, Timeout: 4 * time.Second},
			Certificates: ClientCertificates{Name: "email"},
			CacheTime:    time.Minute,
		},
		TLS: TLS{
			MinVersion: "1.2", SelfSigned: true,
			ACME: ACME{Directory: LetsEncrypt, Challenge: ChallengeHTTP},
		},
		Queue: Queue{
			Deliver:                true,
			MTASTS:                 true,
			RetryFirst:             5 * time.Minute,
			RetryMax:               70 * time.Minute,
			ExpireAfter:            5 * 24 * time.Hour,
			DelayWarningAfter:      4 * time.Hour,
			Concurrency:            200,
			DestinationConcurrency: 20,
			MessagesPerConnection:  100,
		},
		Verify: Verification{
			Check: true, DMARC: "refuse", OwnDomains: "refuse", NoAuthor: "mark", SPF: "note", OwnHello: "refuse", ReverseName: "mark", Hello: "mark",
			Greylist:       Greylist{Wait: time.Minute, Window: 48 * time.Hour, Keep: 35 * 24 * time.Hour},
			Scanner:        Scanner{Wait: 8 * time.Second, MaxSize: 20 * config.MiB, Down: "accept"},
			QuarantineKeep: 31 * 24 * time.Hour,
		},
		DKIM:    DKIM{Sign: true, Rotate: 365 * 24 * time.Hour},
		Store:   Store{S3: S3{Above: 256 * config.KiB, Keep: 48 * time.Hour}},
		Reports: Reports{Keep: 90 * 24 * time.Hour},
		DNS:     DNS{DMARCPolicy: "none", MTASTS: "off"},
		Web: Web{
			StatusFrom: Loopback(), AdminFrom: Loopback(), AccountFrom: Loopback(),
			UserMay:        []string{MayPassword, MayAppPasswords, MayForward, MayAbsence, MayJunk},
			MaxConnections: 1000, MaxConnectionsPerAddress: 500,
		},
		Log: Log{Level: slog.LevelInfo, Format: LogText, Recent: 16 * config.MiB},
	}
}

// Loopback are the networks of this host alone.
func Loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// standardListeners are those of a server that has a name and no Listeners.
func standardListeners() []Listener {
	return []Listener{
		{Address: ":25", Protocol: ProtocolSMTP, TLS: TLSStartTLS},
		{Address: ":587", Protocol: ProtocolSubmission, TLS: TLSStartTLS},
		{Address: ":465", Protocol: ProtocolSubmission, TLS: TLSImplicit},
		{Address: ":110", Protocol: ProtocolPOP3, TLS: TLSStartTLS},
		{Address: ":995", Protocol: ProtocolPOP3, TLS: TLSImplicit},
	}
}
