package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/sink"
	"github.com/postrider-mail/postrider/internal/sink/catch"
	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/smtp"
)

// sinkFlags are those of the command line that are not Options as they are.
type sinkFlags struct {
	age, sorting, allowed, triggers, relayTo, relayAllowed string
	leaving                                                string
	logins, pop3Logins, webLogins, rules                   []string
	verbose                                                bool

	environ error    // what cannot be of Mailpit's settings
	unused  []string // those that have no meaning here
}

func sinkCommand() *cobra.Command {
	o := &catch.Options{
		SMTP: "127.0.0.1:1025", HTTP: "127.0.0.1:8025", POP3: "127.0.0.1:1110", Hostname: "localhost",
		Limits:   sink.Limits{Messages: 100_000, Octets: 1 << 30},
		Triggers: sink.DefaultTriggers(),
	}
	f := &sinkFlags{}
	old := &oldSinkFlags{}
	// What the environment says is what holds where the command line says nothing.
	f.unused, f.environ = o.FromMailpit(os.Environ())
	c := &cobra.Command{
		Use:   "sink [ADDRESS...]",
		Short: "Catch the mail of tests: take all, deliver nothing, show it",
		Long: `Catch the mail of tests. It takes mail for any address and with any login, delivers nothing, and shows
what came: to people on a page, to programs by an HTTP API and by POP3. Every address has an inbox
of its own, and a test can make one that nobody else has.

Programs written for Mailpit or MailHog find their API here. The settings of Mailpit in the
environment (MP_...) are taken over; options on the command line come first.

With addresses as arguments it is a sinkhole for mail of the world: it listens there alone, refuses what
no honest client sends, and saves what comes in files.`,
		Example: "  postrider sink\n  postrider sink --dir mail --max-age 7d\n  postrider sink --smtp :1025 --http :8025 --ui-login team:secret\n  postrider sink -d caught --smtplog talk.log :25",
		RunE: func(cmd *cobra.Command, addresses []string) error {
			defer old.close()
			return serveSink(cmd, o, f, func() (err error) {
				unused, err := old.apply(cmd, o, addresses)
				f.unused = append(f.unused, unused...)
				return err
			})
		},
	}
	fl := c.Flags()
	fl.StringVar(&o.SMTP, "smtp", o.SMTP, "where to take mail; \"\" is nowhere")
	fl.StringVar(&o.HTTP, "http", o.HTTP, "where pages and API are")
	fl.StringVar(&o.POP3, "pop3", o.POP3, "where mail is fetched; the login is an inbox, or \"all\"")
	fl.StringVar(&o.Dir, "dir", o.Dir, "a folder that keeps the messages; without one they are in memory")
	fl.IntVar(&o.Limits.Messages, "max-messages", o.Limits.Messages, "how many are kept; the oldest leave. 0 is no limit")
	fl.Int64Var(&o.Limits.Octets, "max-octets", o.Limits.Octets, "how many octets of messages are kept; 0 is no limit")
	fl.StringVar(&f.age, "max-age", "", "how long a message is kept, such as 36h or 7d")
	fl.Int64Var(&o.MessageSize, "max-message-octets", o.MessageSize, "of one message (default 50 MiB)")
	fl.IntVar(&o.Recipients, "max-recipients", o.Recipients, "of one message (default 1000)")
	fl.StringVar(&f.sorting, "inbox-by", "recipient", "what makes an inbox: recipient, login or header:NAME")
	fl.StringVar(&o.Hostname, "hostname", o.Hostname, "what the server calls itself")
	fl.StringArrayVar(&f.logins, "login", nil, "user:password of who may log in to send; without any, all may")
	fl.BoolVar(&o.RequireAuth, "require-login", false, "take mail only after a login")
	fl.StringArrayVar(&f.pop3Logins, "pop3-login", nil, "user:password of who fetches all messages")
	fl.StringArrayVar(&f.webLogins, "ui-login", nil, "user:password for pages and API")
	fl.BoolVar(&o.SelfSigned, "tls", o.SelfSigned, "offer STARTTLS with a certificate made now")
	fl.StringVarP(&o.Cert, "cert", "c", o.Cert, "a file with a certificate, for TLS; several with commas")
	fl.StringVarP(&o.Key, "key", "k", o.Key, "the file with its key; as many")
	fl.StringVar(&f.allowed, "allowed-recipients", "", "a regular expression: other recipients are refused")
	fl.BoolVar(&o.IgnoreOther, "ignore-other-recipients", o.IgnoreOther, "take them, and forget the message for them")
	fl.StringVar(&f.relayTo, "relay-to", "", "host:port of a real server that single messages can be released to")
	fl.StringVar(&f.relayAllowed, "relay-recipients", "", "a regular expression of the addresses that may be")
	fl.StringVar(&o.Webhook, "webhook", o.Webhook, "a URL that is told of each message")
	fl.StringVar(&o.DNS, "dns", "system", "whom to ask, when somebody wants to know what SPF, DKIM and DMARC say: system, servers, or off")
	fl.StringVar(&f.leaving, "sent-from", "", "the IP address that your mail leaves from in production, for SPF")
	fl.StringArrayVar(&o.RuleFiles, "rules", nil, "a file of rules by which mail fails on purpose (docs/rules.md)")
	fl.StringArrayVar(&f.rules, "rule", nil, "one such rule, as: '@to stall first 2 to bob@'")
	fl.BoolVar(&o.Chaos, "chaos", o.Chaos, "let the API refuse mail by chance")
	fl.StringVar(&f.triggers, "chaos-triggers", "", "refuse by chance from the start: Sender:451:5,Recipient:550:10")
	fl.StringVar(&o.Label, "label", o.Label, "a name for this sink, on its pages")
	fl.StringVar(&o.Web.Root, "web-root", cmp.Or(o.Web.Root, "/"), "the path below which pages and API are")
	fl.StringSliceVar(&o.Web.Hosts, "allowed-hosts", o.Web.Hosts, "the names that pages and API may be asked by")
	fl.StringSliceVar(&o.Web.Origins, "api-cors", o.Web.Origins, "other origins whose pages may use the API")
	fl.BoolVar(&o.Web.InnerLinks, "allow-internal-http-requests", o.Web.InnerLinks, "let a check of links ask this host's own network")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "log every session")
	c.MarkFlagDirname("dir")
	c.MarkFlagFilename("rules")
	c.MarkFlagsMutuallyExclusive("rules", "rule")
	old.add(c, o)
	return c
}

func serveSink(cmd *cobra.Command, o *catch.Options, f *sinkFlags, more func() error) error {
	if f.environ != nil {
		return f.environ
	}
	if err := f.apply(o); err != nil {
		return usage(cmd, err)
	}
	if err := more(); err != nil {
		return usage(cmd, err)
	}
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelInfo
	}
	o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
	for _, u := range f.unused {
		name, why, _ := strings.Cut(u, ": ")
		o.Log.Warn("not used", "setting", name, "because", why)
	}
	o.Version = programVersion()
	// Who stops it at once is heard too.
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := catch.Open(*o)
	if errors.Is(err, sys.AddrInUse) {
		return fmt.Errorf("%w; another program listens there. Stop it, or choose other ports with --smtp, --http and --pop3", err)
	}
	if err != nil {
		return err
	}
	introduceSink(cmd, o, s)
	return s.Serve(ctx)
}

// apply reads the flags that are written in a form of their own.
func (f *sinkFlags) apply(o *catch.Options) (err error) {
	if f.age != "" {
		if o.Limits.Age, err = catch.ParseAge(f.age); err != nil {
			return fmt.Errorf("--max-age: %w", err)
		}
	}
	if o.Sorting, err = sink.ParseSorting(f.sorting); err != nil {
		return fmt.Errorf("--inbox-by: %w", err)
	}
	if f.triggers != "" {
		if o.Triggers, err = catch.ParseTriggers(f.triggers); err != nil {
			return fmt.Errorf("--chaos-triggers: %w", err)
		}
		o.Chaos = true
	}
	if o.DNS == "off" {
		o.DNS = ""
	}
	if f.leaving != "" {
		if o.Leaving, err = netip.ParseAddr(f.leaving); err != nil {
			return fmt.Errorf("--sent-from: %w", err)
		}
	}
	o.Rules = strings.Join(f.rules, "\n")
	for _, l := range []struct {
		name string
		from []string
		into func(map[string]string)
	}{
		{"--login", f.logins, func(m map[string]string) { o.Logins = m }},
		{"--pop3-login", f.pop3Logins, func(m map[string]string) { o.POP3Logins = m }},
		{"--ui-login", f.webLogins, func(m map[string]string) { o.Web.Logins = m }},
	} {
		if l.from == nil {
			continue
		}
		all, err := catch.ParseLogins(strings.Join(l.from, " "))
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		l.into(all)
	}
	if f.allowed != "" {
		if o.Allowed, err = regexp.Compile(f.allowed); err != nil {
			return fmt.Errorf("--allowed-recipients: %w", err)
		}
	}
	return f.applyRelay(o)
}

func (f *sinkFlags) applyRelay(o *catch.Options) (err error) {
	if f.relayTo == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(f.relayTo); err != nil {
		return fmt.Errorf("--relay-to: %w", err)
	}
	o.Relay = &sink.Relay{Address: f.relayTo, Dialer: &smtp.Dialer{Hello: o.Hostname}}
	if f.relayAllowed != "" {
		if o.Relay.Allowed, err = regexp.Compile(f.relayAllowed); err != nil {
			return fmt.Errorf("--relay-recipients: %w", err)
		}
	}
	return nil
}

// introduceSink says where everything is, and what strangers could reach.
func introduceSink(cmd *cobra.Command, o *catch.Options, s *catch.Sink) {
	out := cmd.OutOrStdout()
	all := []struct{ name, at string }{{"SMTP", s.SMTP}, {"POP3", s.POP3}, {"Pages", s.HTTP}}
	for _, at := range s.MoreSMTP {
		all = slices.Insert(all, 1, struct{ name, at string }{"SMTP", at})
	}
	for _, l := range all {
		if l.at == "" {
			continue
		}
		if l.name == "Pages" {
			l.at = "http://" + l.at + "/" + strings.TrimPrefix(o.Web.Root, "/")
		}
		fmt.Fprintf(out, "%-6s %s\n", l.name, l.at)
	}
	if open := outside(s.HTTP); open && o.Web.Logins == nil {
		o.Log.Warn("whoever reaches this host can read all messages", "at", s.HTTP, "cure", "--ui-login, or an address of the loopback interface")
	}
}

// outside reports whether an address is reached from other hosts.
func outside(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (ip == nil || !ip.IsLoopback())
}
