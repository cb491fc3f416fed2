package conf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/config"
)

// Load reads path: a file, or every *.conf in a folder in the order of their
// names, merged. The error lists every problem found in the text, each with
// its place (config.Errors); Check finds those in the meaning.
func Load(path string) (*Settings, error) {
	names, err := Files(path)
	if err != nil {
		return nil, err
	}
	return LoadFiles(names...)
}

// Files returns the files that Load reads: path itself, or the *.conf in it in
// the order of their names.
func Files(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".conf") && name[0] != '.' && !e.IsDir() {
			names = append(names, filepath.Join(path, name))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("configuration: there is no *.conf in %s; \"postrider conf init -c %[1]s SERVER_NAME\" writes some", path)
	}
	return names, nil
}

// LoadFiles reads these files and merges them in this order: objects are
// merged, of anything else the last one counts.
func LoadFiles(names ...string) (*Settings, error) {
	s, err := load(names)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Verify loads and checks path and returns every problem of both, in the order
// of the places. The settings are nil if not even the text could be read.
func Verify(path string, probes Probes) (*Settings, []error) {
	names, err := Files(path)
	if err != nil {
		return nil, []error{err}
	}
	s, err := load(names)
	var text config.Errors
	if err != nil && (!errors.As(err, &text) || s == nil) {
		return nil, list(err)
	}
	problems := text
	for _, p := range s.check(probes) {
		// What has no place, or the place of a problem with the text, follows
		// from that.
		sameLine := func(t *config.Error) bool { return t.Name == p.Name && t.Line == p.Line }
		if len(text) == 0 || errors.Is(p, errOpen) || p.Line > 1 && !slices.ContainsFunc(text, sameLine) {
			problems = append(problems, p)
		}
	}
	problems.Sort()
	return s, problems.Unwrap()
}

// list parts an error that is made of several.
func list(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

// load is LoadFiles that returns settings as far as they could be read, too.
func load(names []string) (*Settings, error) {
	d := config.Decoder{DuplicateObjects: true, Renamed: renamed(), Hide: looksSecret}
	src, err := d.ReadFiles(names...)
	if err != nil {
		return nil, err
	}
	s := New()
	s.source = src
	var problems config.Errors
	if err := d.DecodeSource(src, s); err != nil && !errors.As(err, &problems) {
		return nil, err
	}
	s.dropNull()
	s.absolutePaths()
	s.fillSecrets()
	s.complete()
	if len(problems) > 0 {
		return s, problems
	}
	return s, nil
}

// text is where the settings came from, empty if they were made in code.
func (s *Settings) text() *config.Source {
	if s.source == nil {
		return config.Merge()
	}
	return s.source
}

// looksSecret keeps secrets out of the lines that errors show: what stands
// under the keys of secrets, what looks like a hash, and whatever stands where an
// account may have its password.
func looksSecret(key, text string) bool {
	if strings.HasPrefix(text, "env:") {
		return false
	}
	switch key {
	case "password", "scram_sha_256", "cram_md5", "apop":
		return true
	}
	return strings.HasPrefix(text, "$") || strings.HasPrefix(text, "{") || strings.HasPrefix(text, "SCRAM-") && strings.Contains(text, "$") ||
		strings.Contains(key, "@") && !strings.Contains(text, "@")
}

// dropNull takes out domains and accounts that a later file took back with a
// null.
func (s *Settings) dropNull() {
	drop := func(accounts map[string]*Account) {
		for name, a := range accounts {
			if a == nil {
				delete(accounts, name)
			}
		}
	}
	drop(s.Accounts)
	for name, d := range s.Domains {
		if d == nil {
			delete(s.Domains, name)
		} else {
			drop(d.Accounts)
		}
	}
	for name, d := range s.Queue.Domains {
		if d == nil {
			delete(s.Queue.Domains, name)
		}
	}
}

// absolutePaths makes the paths in the files absolute: relative ones are meant
// from the folder of the file they stand in.
func (s *Settings) absolutePaths() {
	eachSetting(reflect.ValueOf(s), func(v setting) {
		if !v.has("path") || v.value.String() == "" {
			return
		}
		origin, ok := s.text().Where(v.steps...)
		if !ok {
			return // a default
		}
		if path, err := fromFolder(origin.File, v.value.String()); err == nil {
			v.value.SetString(path)
		}
	})
	for i := range s.Listeners {
		l := &s.Listeners[i]
		if path, ok := strings.CutPrefix(l.Address, "unix:"); ok && path != "" {
			origin, _ := s.text().Where("Listeners", i, "address")
			if path, err := fromFolder(origin.File, path); err == nil {
				l.Address = "unix:" + path
			}
		}
	}
}

func fromFolder(file, path string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(file), path)
	}
	return filepath.Abs(path)
}

// complete fills in what follows from other values: paths, the standard
// listeners, the TLS mode of each listener.
func (s *Settings) complete() {
	fill := func(path *string, name string) {
		if *path == "" {
			*path = filepath.Join(s.DataDir, name)
		}
	}
	fill(&s.MailDir, "mail")
	fill(&s.QueueDir, "queue")
	fill(&s.SecretKeyFile, "secret.key")
	fill(&s.Admin.Socket, "control.sock")
	fill(&s.TLS.ACME.Folder, "acme")
	s.TLS.ACME.complete(s.ServerName)
	s.giveWay()
	if len(s.Listeners) == 0 && s.ServerName != "" && !s.text().Has("Listeners") {
		s.Listeners = standardListeners()
	}
	for i := range s.Listeners {
		s.Listeners[i].complete()
	}
}

// complete gives a listener the TLS mode of its port and protocol.
func (l *Listener) complete() {
	if l.TLS != "" {
		return
	}
	switch {
	case l.Protocol == ProtocolLMTP:
		l.TLS = TLSOff
	case strings.HasSuffix(l.Address, ":465") || strings.HasSuffix(l.Address, ":995"):
		l.TLS = TLSImplicit
	default:
		l.TLS = TLSStartTLS
	}
}

// renamed tells those who come from gomaild what became of its keys.
func renamed() map[string]string {
	m := map[string]string{
		"debug":                        `write "Log": {"level": "debug"}`,
		"domain":                       `write "server_name", or a domain of its own in "Domains"`,
		"SMTP.start_greeting":          `it is now "greeting"`,
		"POP3.start_greeting":          `it is now "greeting"`,
		"SMTP.timeout":                 `it is now "idle_timeout", with a unit: "5m"`,
		"POP3.timeout":                 `it is now "idle_timeout", with a unit: "10m"`,
		"SMTP.enable_starttls":         `TLS is a matter of each listener: write "tls" in "Listeners"`,
		"POP3.enable_stls":             `TLS is a matter of each listener: write "tls" in "Listeners"`,
		"POP3.fake_dele_cmd":           `write "deletion": "trash"`,
		"POP3.secure_user_cmd":         "it is always so: nothing tells whether a user exists",
		"POP3.enable_user_cmd":         "USER and PASS work under TLS, and without it if cleartext_auth is true",
		"SMTP.enable_auth":             "submission listeners have it, others do not",
		"POP3.enable_auth":             `write "Auth": {"mechanisms": [...]}`,
		"TLS.cert_file":                `it is "certificate_file" here, "cert_file" in "certificates"`,
		"TLS.key_file":                 `it is "certificate_key_file" here, "key_file" in "certificates"`,
		"SMTP.max_message_size_octets": `it is now "max_message_size"`,
		"Queue.retry":                  `write "retry_first", and "retry_max" up to which the wait doubles`,
	}
	for _, section := range []string{"SMTP.", "POP3."} {
		for _, key := range []string{"enable_auth_login", "enable_auth_plain", "enable_auth_cram_md5"} {
			m[section+key] = `write "Auth": {"mechanisms": [...]}`
		}
		for _, key := range []string{"end_greeting", "queued_message", "ehlo_message", "sender_ok_message", "sender_invalid_message",
			"recipient_ok_message", "recipient_invalid_message", "data_start_message", "timeout_message", "user_invalid_message",
			"user_ok_message", "password_invalid_message", "password_ok_message"} {
			m[section+key] = "these texts are no longer configured"
		}
	}
	return m
}
