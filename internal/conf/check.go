package conf

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/parsers/config"
)

// Probes are checks that this package cannot make itself. A nil one is left
// out.
type Probes struct {
	// Sealed says why a sealed secret of this subject cannot be opened with the
	// key in a file.
	Sealed func(keyFile, sealed, subject string) error
	// Listen says why nothing can listen there, unless it is the server that
	// answers at the control socket.
	Listen func(l Listener, controlSocket string) error
	// Database says why the mail cannot be kept in the database of the settings.
	Database func(s *Settings) error
	// Bucket says why large messages cannot be kept in the storage of the settings.
	Bucket func(s *Settings) error
}

// Check returns every problem with the settings, each with its place where
// they were read from files. It opens what they name (certificates, keys,
// directories) but changes nothing.
func (s *Settings) Check() []error { return s.CheckWith(Probes{}) }

// CheckWith is Check with further checks.
func (s *Settings) CheckWith(probes Probes) []error {
	return sorted(s.check(probes))
}

// problem is one that check found.
type problem struct {
	is     *config.Error
	absent bool // the value is not in the text: the place is only near
}

// sorted puts problems in the order of their places.
func sorted(problems []problem) []error {
	var errs config.Errors
	for _, p := range problems {
		errs = append(errs, p.is)
	}
	errs.Sort()
	return errs.Unwrap()
}

// checker collects problems.
type checker struct {
	*Settings
	probes Probes
	errs   []problem

	book   *Book
	runner runner
}

func newChecker(s *Settings, probes Probes) *checker {
	return &checker{Settings: s, probes: probes, errs: slices.Clone(s.problems), book: s.Book(), runner: runnerOf(s.DataDir)}
}

func (s *Settings) check(probes Probes) []problem {
	c := newChecker(s, probes)
	c.ranges()
	c.server()
	c.openFiles()
	c.readable()
	c.listeners()
	c.domains()
	c.accounts()
	if c.partial { // what is missing may stand in a file that could not be read
		return c.errs
	}
	c.aliases()
	c.smtp()
	c.pop3()
	c.imap()
	c.auth()
	c.elsewhere()
	c.tls()
	c.acme()
	c.queue()
	c.dns()
	c.reports()
	c.trust()
	c.defence()
	c.mailRules()
	c.web()
	c.directories()
	c.database()
	return c.errs
}

func (c *checker) add(steps []any, err *config.Error) {
	c.errs = append(c.errs, problem{err, !c.text().Has(steps...)})
}

// fail notes a problem with the value at steps.
func (c *checker) fail(steps []any, format string, args ...any) {
	c.add(steps, c.text().Errorf(steps, "%s: %w", config.Path(steps...), fmt.Errorf(format, args...)))
}

// failMissing is fail for what should stand beside the value at steps.
func (c *checker) failMissing(steps []any, format string, args ...any) {
	c.fail(steps, format, args...)
	c.errs[len(c.errs)-1].absent = true
}

// failKey is fail for a key that is wrong in itself.
func (c *checker) failKey(steps []any, format string, args ...any) {
	c.add(steps, c.text().KeyErrorf(steps, "%s: %w", config.Path(steps...), fmt.Errorf(format, args...)))
}

// failSecret is fail where the line must not be shown.
func (c *checker) failSecret(steps []any, format string, args ...any) {
	c.add(steps, c.text().SecretErrorf(steps, "%s: %w", config.Path(steps...), fmt.Errorf(format, args...)))
}

// fault notes a problem while the settings are loaded.
func (s *Settings) fault(steps []any, format string, args ...any) {
	err := s.text().Errorf(steps, "%s: %w", config.Path(steps...), fmt.Errorf(format, args...))
	s.problems = append(s.problems, problem{err, !s.text().Has(steps...)})
}

// at makes the way to a setting.
func at(steps ...any) []any { return steps }

func (c *checker) server() {
	switch {
	case c.ServerName == "":
		c.fail(at("server_name"), `missing; write the name of this host: "server_name": "mail.example.com"`)
	case checkDomain(c.ServerName) != nil:
		c.fail(at("server_name"), "%w", checkDomain(c.ServerName))
	case isContainerID(c.ServerName):
		c.fail(at("server_name"), `%s is the id of a container, and another one next time; write the name that the DNS has for this host: "server_name": "mail.example.com"`, c.ServerName)
	}
	if c.Postmaster != "" {
		if err := checkAddress(c.Postmaster); err != nil {
			c.fail(at("postmaster"), "%w", err)
		}
	}
	for _, user := range slices.Sorted(maps.Keys(c.Admin.SubmitAs)) {
		for i, address := range c.Admin.SubmitAs[user] {
			steps := at("Admin", "submit_as", user, i)
			if !c.text().Has(steps...) { // one address without a list
				steps = steps[:3]
			}
			if err := checkAddress(strings.Replace(address, "*@", "any@", 1)); err != nil {
				c.fail(steps, "%w", err)
			}
		}
	}
	c.line(at("SMTP", "greeting"), c.SMTP.Greeting)
	c.line(at("POP3", "greeting"), c.POP3.Greeting)
}

// isContainerID knows what container runtimes call a host that was given no name.
func isContainerID(name string) bool {
	return len(name) == 12 && strings.Trim(name, "0123456789abcdef") == "" && strings.ContainsAny(name, "0123456789")
}

// line refuses a text that would not be one line on the wire.
func (c *checker) line(steps []any, text string) {
	const longest = 400 // with the server's name, below 512 (RFC 5321 §4.5.3.1.5)
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		c.fail(steps, "only printable ASCII can stand in a greeting")
	}
	if len(text) > longest {
		c.fail(steps, "longer than %d characters", longest)
	}
}

// limits checks what SMTP and POP3 have in common.
func (c *checker) limits(section string, conns, perAddress int, idle, session time.Duration) {
	if perAddress > conns && conns > 0 {
		c.fail(at(section, "max_connections_per_address"), "%d is more than max_connections, %d", perAddress, conns)
	}
	if session < idle {
		c.fail(at(section, "session_timeout"), "%s is shorter than idle_timeout, %s", config.FormatDuration(session), config.FormatDuration(idle))
	}
}

func (c *checker) smtp() {
	s := &c.SMTP
	c.limits("SMTP", s.MaxConnections, s.MaxConnectionsPerAddress, s.IdleTimeout, s.SessionTimeout)
	c.eachTrust(c.trusted)
}

func (c *checker) pop3() {
	p := &c.POP3
	c.limits("POP3", p.MaxConnections, p.MaxConnectionsPerAddress, p.IdleTimeout, p.SessionTimeout)
	c.expire(at("POP3", "expire"), p.Expire)
	if !mailstore.IsFolder(p.DeletionFolder) {
		c.fail(at("POP3", "deletion_folder"), "%q cannot be a folder's name: 1 to 64 ASCII letters, digits, \"-\" and \"_\"", p.DeletionFolder)
	}
}

// expire: EXPIRE is told in whole days (RFC 2449 §6.7).
func (c *checker) expire(steps []any, d time.Duration) {
	if d < 0 || d%(24*time.Hour) != 0 {
		c.fail(steps, "%s is not a number of whole days", config.FormatDuration(d))
	}
}

func (c *checker) auth() {
	known := []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN"}
	seen := make(map[string]bool)
	for i, m := range c.Auth.Mechanisms {
		steps, upper := at("Auth", "mechanisms", i), strings.ToUpper(m)
		switch {
		case seen[upper]:
			c.fail(steps, "%s stands here twice", m)
		case slices.Contains(known, m):
		case slices.Contains(known, upper):
			c.fail(steps, "write it in capitals: %q", upper)
		case upper == "DIGEST-MD5":
			c.fail(steps, "DIGEST-MD5 is broken and historic (RFC 6331); use SCRAM-SHA-256")
		case strings.HasPrefix(upper, "SCRAM-SHA-1"):
			c.fail(steps, "no keys are kept for it; use SCRAM-SHA-256")
		default:
			c.fail(steps, "%q is not one of %s", m, strings.Join(known, ", "))
		}
		seen[upper] = true
	}
	if len(c.Auth.Mechanisms) == 0 {
		c.fail(at("Auth", "mechanisms"), "without any, nobody can log in")
	}
}

// readable checks that the files which root has just read can be read by the
// server as well.
func (c *checker) readable() {
	if !c.runner.other {
		return
	}
	for _, name := range c.text().Files() {
		if _, edited := c.edited[name]; edited {
			continue // it will have the owner it has, or that of its folder
		}
		if err := c.runner.canRead(name); err != nil {
			c.errs = append(c.errs, problem{&config.Error{Name: name, Err: err}, false})
		}
	}
	eachSetting(reflect.ValueOf(c.Settings), func(s setting) {
		if !s.has("path") {
			return
		}
		name := s.value.String()
		if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() || name == c.Log.File {
			return
		}
		if err := c.runner.canRead(name); err != nil {
			c.fail(s.steps, "%w", err)
		}
	})
}

// directories checks that what is to be written can be.
func (c *checker) directories() {
	if c.DataDir == "" {
		c.fail(at("data_dir"), "missing; write the directory that mail is kept in")
		return
	}
	for _, d := range []struct{ key, path string }{
		{"data_dir", c.DataDir}, {"mail_dir", c.MailDir}, {"queue_dir", c.QueueDir},
	} {
		if d.key != "data_dir" && filepath.Dir(d.path) == c.DataDir {
			continue // said already
		}
		if err := c.runner.canMakeDir(d.path); err != nil {
			c.fail(at(d.key), "%w", err)
		}
	}
	if c.MailDir != "" && c.MailDir == c.QueueDir {
		c.fail(at("queue_dir"), "the queue cannot be in the folder of the mailboxes")
	}
	if info, err := os.Stat(c.SecretKeyFile); err == nil {
		if err := private(c.SecretKeyFile, info.Mode()); err != nil {
			c.fail(at("secret_key_file"), "%s %w", c.SecretKeyFile, err)
		}
	}
	if c.Log.File != "" {
		if err := c.runner.canAppend(c.Log.File, c.DataDir); err != nil {
			c.fail(at("Log", "file"), "%w", err)
		}
	}
	// The name of a Unix socket has little room: 108 octets on Linux, 104 on BSD.
	const room = 103
	if len(c.Admin.Socket) > room {
		c.fail(at("Admin", "socket"), "%s is longer than the %d characters the system has room for; write a shorter path", c.Admin.Socket, room)
	}
}
