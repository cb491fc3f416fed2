package catch

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/sink"
	"github.com/postrider-mail/postrider/internal/sink/web"
	"github.com/postrider-mail/postrider/smtp"
)

// FromMailpit takes over the settings of Mailpit that an environment has, so that
// a team has one name to change. unused are those that have no meaning here, each with the
// reason. What is set, and cannot be, is an error.
func (o *Options) FromMailpit(environ []string) (unused []string, err error) {
	m := &mailpit{Options: o, values: make(map[string]string)}
	var names []string
	for _, pair := range environ {
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "MP_") && value != "" {
			m.values[name] = value
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		take, known := m.table()[name]
		switch {
		case !known:
			unused = append(unused, name+": "+reasonOf(name))
		case take != nil:
			if err := take(m.values[name]); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return unused, m.relay()
}

// reasonOf is why a setting of Mailpit's is not used.
func reasonOf(name string) string {
	switch {
	case name == "MP_DATABASE" || name == "MP_DATA_FILE" || name == "MP_TENANT_ID":
		return "messages are in memory, or with --dir in a folder; there is no database"
	case strings.HasPrefix(name, "MP_SMTP_FORWARD"):
		return "messages are released one by one"
	case strings.Contains(name, "SPAMASSASSIN"):
		return "no spam filter is asked"
	case strings.HasPrefix(name, "MP_TAG"):
		return "tags come from X-Tags, from plus addresses and, with MP_TAGS_USERNAME, from logins"
	}
	return "it is not known here"
}

type mailpit struct {
	*Options
	values map[string]string
}

// table says what each setting does; nil is what is so anyway.
func (m *mailpit) table() map[string]func(string) error {
	text := func(into *string) func(string) error { return func(v string) error { *into = v; return nil } }
	yes := func(into *bool) func(string) error { return func(v string) error { *into = isTrue(v); return nil } }
	logins := func(into *web.Logins) func(string) error {
		return func(v string) (err error) { *into, err = ParseLogins(v); return err }
	}
	return map[string]func(string) error{
		"MP_SMTP_BIND_ADDR": text(&m.SMTP), "MP_UI_BIND_ADDR": text(&m.HTTP), "MP_POP3_BIND_ADDR": text(&m.POP3),
		"MP_MAX_MESSAGES": m.number(func(n int) { m.Limits.Messages = n }),
		"MP_MAX_AGE":      m.maxAge,
		"MP_MAX_MESSAGE_SIZE": m.number(func(n int) {
			m.MessageSize = int64(n) << 20
		}),
		"MP_SMTP_MAX_RECIPIENTS":             m.number(func(n int) { m.Recipients = n }),
		"MP_SMTP_AUTH":                       m.smtpLogins,
		"MP_SMTP_AUTH_FILE":                  fromFile(m.smtpLogins),
		"MP_SMTP_AUTH_ACCEPT_ANY":            nil,
		"MP_SMTP_AUTH_ALLOW_INSECURE":        nil,
		"MP_SMTP_DISABLE_RDNS":               nil,
		"MP_DISABLE_VERSION_CHECK":           nil,
		"MP_BLOCK_REMOTE_CSS_AND_FONTS":      nil,
		"MP_TAGS_TITLE_CASE":                 nil,
		"MP_SMTP_TLS_CERT":                   text(&m.Cert),
		"MP_SMTP_TLS_KEY":                    text(&m.Key),
		"MP_SMTP_REQUIRE_STARTTLS":           func(v string) error { return m.mode(v, smtp.RequireTLS) },
		"MP_SMTP_REQUIRE_TLS":                func(v string) error { return m.mode(v, smtp.ImplicitTLS) },
		"MP_SMTP_ALLOWED_RECIPIENTS":         m.allowed,
		"MP_SMTP_IGNORE_REJECTED_RECIPIENTS": yes(&m.IgnoreOther),
		"MP_UI_AUTH":                         logins(&m.Web.Logins),
		"MP_UI_AUTH_FILE":                    fromFile(logins(&m.Web.Logins)),
		"MP_SEND_API_AUTH":                   logins(&m.Web.Send),
		"MP_SEND_API_AUTH_FILE":              fromFile(logins(&m.Web.Send)),
		"MP_POP3_AUTH":                       m.pop3Logins,
		"MP_POP3_AUTH_FILE":                  fromFile(m.pop3Logins),
		"MP_WEBROOT":                         text(&m.Web.Root),
		"MP_API_CORS":                        func(v string) error { m.Web.Origins = list(v); return nil },
		"MP_ALLOWED_HOSTS":                   func(v string) error { m.Web.Hosts = list(v); return nil },
		"MP_ENABLE_CHAOS":                    yes(&m.Chaos),
		"MP_CHAOS_TRIGGERS":                  m.triggers,
		"MP_WEBHOOK_URL":                     text(&m.Webhook),
		"MP_TAGS_USERNAME":                   yes(&m.TagLogins),
		"MP_LABEL":                           text(&m.Label),
		"MP_HIDE_DELETE_ALL_BUTTON":          yes(&m.Web.KeepAll),
		"MP_ALLOW_INTERNAL_HTTP_REQUESTS":    yes(&m.Web.InnerLinks),
		"MP_QUIET":                           nil,
		"MP_VERBOSE":                         nil,
		"MP_SMTP_RELAY_HOST":                 nil, "MP_SMTP_RELAY_PORT": nil, "MP_SMTP_RELAY_USERNAME": nil, "MP_SMTP_RELAY_PASSWORD": nil, "MP_SMTP_RELAY_STARTTLS": nil,
		"MP_SMTP_RELAY_TLS": nil, "MP_SMTP_RELAY_RETURN_PATH": nil, "MP_SMTP_RELAY_ALLOWED_RECIPIENTS": nil, "MP_SMTP_RELAY_ALLOW_INSECURE": nil, "MP_SMTP_RELAY_AUTH": nil,
	}
}

func isTrue(v string) bool { return v == "1" || v == "true" || v == "yes" }

func list(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
}

func (m *mailpit) number(into func(int)) func(string) error {
	return func(v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return fmt.Errorf("%q is no number from 0 on", v)
		}
		into(n)
		return nil
	}
}

func (m *mailpit) maxAge(v string) (err error) {
	m.Limits.Age, err = ParseAge(v)
	return err
}

// ParseAge reads an age: "36h", "7d".
func ParseAge(v string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(v, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 100_000 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf(`%q is no age such as "36h" or "7d"`, v)
	}
	return d, nil
}

// ParseLogins reads "user:password" pairs between spaces or on lines.
func ParseLogins(v string) (map[string]string, error) {
	all := make(map[string]string)
	for _, pair := range strings.Fields(v) {
		user, password, ok := strings.Cut(pair, ":")
		if !ok || user == "" || password == "" {
			return nil, fmt.Errorf("a login is user:password")
		}
		if strings.HasPrefix(password, "$2") || strings.HasPrefix(password, "{SHA}") || strings.HasPrefix(password, "$apr1$") {
			return nil, fmt.Errorf("the password of %q is a hash; a sink takes plain ones", user)
		}
		all[user] = password
	}
	return all, nil
}

func fromFile(take func(string) error) func(string) error {
	return func(name string) error {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return take(string(text))
	}
}

func (m *mailpit) smtpLogins(v string) (err error) {
	m.Logins, err = ParseLogins(v)
	return err
}

func (m *mailpit) pop3Logins(v string) (err error) {
	m.POP3Logins, err = ParseLogins(v)
	return err
}

func (m *mailpit) mode(v string, mode smtp.TLSMode) error {
	if isTrue(v) {
		m.SMTPMode = mode
		m.SelfSigned = m.values["MP_SMTP_TLS_CERT"] == ""
	}
	return nil
}

func (m *mailpit) allowed(v string) (err error) {
	m.Allowed, err = regexp.Compile(v)
	return err
}

// triggers reads "Sender:451:5,Recipient:550:10".
func (m *mailpit) triggers(v string) (err error) {
	m.Triggers, err = ParseTriggers(v)
	return err
}

// ParseTriggers reads what is refused by chance: "Sender:451:5,Recipient:550:10" is a code
// and a probability in percent for each.
func ParseTriggers(v string) (sink.Triggers, error) {
	t := sink.DefaultTriggers()
	for _, one := range list(v) {
		parts := strings.Split(one, ":")
		if len(parts) != 3 {
			return t, fmt.Errorf("%q is not like Sender:451:5", one)
		}
		code, err1 := strconv.Atoi(parts[1])
		chance, err2 := strconv.Atoi(parts[2])
		if err1 != nil || err2 != nil {
			return t, fmt.Errorf("%q is not like Sender:451:5", one)
		}
		switch strings.ToLower(parts[0]) {
		case "sender":
			t[sink.AtSender] = sink.Trigger{Code: code, Probability: chance}
		case "recipient":
			t[sink.AtRecipient] = sink.Trigger{Code: code, Probability: chance}
		case "authentication":
			t[sink.AtLogin] = sink.Trigger{Code: code, Probability: chance}
		default:
			return t, fmt.Errorf("%q is none of Sender, Recipient, Authentication", parts[0])
		}
	}
	return t, nil
}

// relay is the server that messages are released to, if one is named.
func (m *mailpit) relay() error {
	host := m.values["MP_SMTP_RELAY_HOST"]
	if host == "" {
		return nil
	}
	port := m.values["MP_SMTP_RELAY_PORT"]
	if port == "" {
		port = "25"
	}
	d := &smtp.Dialer{User: m.values["MP_SMTP_RELAY_USERNAME"], Password: m.values["MP_SMTP_RELAY_PASSWORD"]}
	switch {
	case isTrue(m.values["MP_SMTP_RELAY_TLS"]):
		d.TLS = smtp.TLSFromStart
	case isTrue(m.values["MP_SMTP_RELAY_STARTTLS"]):
		d.TLS = smtp.TLSRequired
	}
	m.Relay = &sink.Relay{Address: net.JoinHostPort(host, port), Dialer: d, ReturnPath: m.values["MP_SMTP_RELAY_RETURN_PATH"]}
	if pattern := m.values["MP_SMTP_RELAY_ALLOWED_RECIPIENTS"]; pattern != "" {
		allowed, err := regexp.Compile(pattern)
		if err != nil {
			return fmt.Errorf("MP_SMTP_RELAY_ALLOWED_RECIPIENTS: %w", err)
		}
		m.Relay.Allowed = allowed
	}
	return nil
}
