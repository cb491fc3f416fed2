package conf

import (
	"errors"
	"fmt"
	"io/fs"
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
	return loadFiles(names...)
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

// loadFiles reads these files and merges them in this order: objects are
// merged, of anything else the last one counts.
func loadFiles(names ...string) (*Settings, error) {
	s, text, failed := load(names, nil)
	switch {
	case len(failed) > 0:
		return nil, errors.Join(append(failed, text.Unwrap()...)...)
	case len(text) > 0:
		return nil, text
	}
	return s, nil
}

// Verify loads and checks path and returns every problem of both, in the order
// of the places. What cannot be read hides nothing of the other files, but for
// what depends on all of them. The settings are nil if no text could be read.
func Verify(path string, probes Probes) (*Settings, []error) {
	return VerifyEdited(path, nil, probes)
}

// VerifyEdited is Verify of what the configuration will be with edits, which are not written
// yet. That their files are closed to others is for who writes them (HoldSecrets).
func VerifyEdited(path string, edits []*Edit, probes Probes) (*Settings, []error) {
	names, err := Files(path)
	if err != nil {
		return nil, []error{err}
	}
	texts := make(map[string][]byte, len(edits))
	for _, e := range edits {
		texts[e.File] = e.Text
		if !slices.Contains(names, e.File) {
			names = append(names, e.File)
		}
	}
	slices.Sort(names) // as Files has them, once they are there
	s, text, failed := load(names, texts)
	if s == nil {
		return nil, append(failed, text.Unwrap()...)
	}
	s.edited = texts
	problems := text
	for _, p := range s.check(probes) {
		if len(text)+len(failed) == 0 || !follows(p, text) {
			problems = append(problems, p.is)
		}
	}
	problems.Sort()
	return s, append(failed, problems.Unwrap()...)
}

// follows reports whether a problem may be no more than what comes of problems
// with the text: it is with the same value, or with one that is not there, and
// may have been meant where a problem is.
func follows(p problem, text config.Errors) bool {
	if errors.Is(p.is, errOpen) {
		return false
	}
	if p.absent && p.is.Line <= 1 {
		return true
	}
	return slices.ContainsFunc(text, func(t *config.Error) bool {
		return t.Name == p.is.Name && t.Line == p.is.Line && (p.absent || t.Col == p.is.Col)
	})
}

// load is loadFiles that returns the settings as far as they could be read, the
// problems with the text, and why files could not be read at all. The settings
// are nil if no file could be. texts stand in place of files of these names.
func load(names []string, texts map[string][]byte) (s *Settings, text config.Errors, failed []error) {
	d := config.Decoder{DuplicateObjects: true, Renamed: renamed(), Hide: looksSecret(), Plain: neverSecret(), Texts: texts}
	src, err := d.ReadFiles(names...)
	for _, err := range list(err) {
		if e, ok := err.(*config.Error); ok {
			text = append(text, e)
		} else {
			failed = append(failed, closed(err))
		}
	}
	if len(src.Files()) == 0 && len(names) > 0 {
		return nil, text, failed
	}
	s = New()
	s.source, s.partial = src, len(src.Files()) < len(names)
	for _, err := range list(d.DecodeSource(src, s)) {
		if e, ok := err.(*config.Error); ok {
			text = append(text, e)
		} else {
			failed = append(failed, err)
		}
	}
	s.dropNull()
	s.absolutePaths()
	s.fillSecrets()
	s.complete()
	text.Sort()
	return s, text, failed
}

// list parts an error that is made of several, also within each other.
func list(err error) (all []error) {
	many, ok := err.(interface{ Unwrap() []error })
	switch {
	case err == nil:
		return nil
	case !ok:
		return []error{err}
	}
	for _, err := range many.Unwrap() {
		all = append(all, list(err)...)
	}
	return all
}

// closed adds to an error of opening a file what would open it: files that root
// made in the folder of another user are that one's to read.
func closed(err error) error {
	var path *fs.PathError
	if !errors.As(err, &path) || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w; run: chown --reference=%s %s", err, filepath.Dir(path.Path), path.Path)
}

// neverSecret knows the keys of settings that are no secrets.
func neverSecret() func(key string) bool {
	plain, secret := make(map[string]bool), make(map[string]bool)
	addKeys(reflect.TypeFor[Settings](), plain, secret)
	return func(key string) bool { return plain[key] && !secret[key] }
}

// addKeys puts the keys of an object, and of those in it, into the one set or
// the other.
func addKeys(t reflect.Type, plain, secret map[string]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Map || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if !isObject(t) {
		return
	}
	for _, f := range fieldsOf(t) {
		if f.Type == reflect.TypeFor[Secret]() {
			secret[keyOf(f)] = true
		} else if kind := f.Type.Kind(); kind != reflect.Map && kind != reflect.Struct && kind != reflect.Slice && kind != reflect.Pointer {
			plain[keyOf(f)] = true
		}
		addKeys(f.Type, plain, secret)
	}
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
func looksSecret() func(key, text string) bool {
	plain, secret := make(map[string]bool), make(map[string]bool)
	addKeys(reflect.TypeFor[Settings](), plain, secret)
	return func(key, text string) bool {
		if strings.HasPrefix(text, "env:") {
			return false
		}
		return secret[key] || strings.HasPrefix(text, "$") || strings.HasPrefix(text, "{") || strings.HasPrefix(text, "SCRAM-") && strings.Contains(text, "$") ||
			strings.Contains(key, "@") && !strings.Contains(text, "@")
	}
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
		s.socketFromFolder(&s.Listeners[i].Address, "Listeners", i, "address")
	}
	for i := range s.Verify.Milters {
		s.socketFromFolder(&s.Verify.Milters[i].Address, "Verify", "Milters", i, "address")
	}
}

// socketFromFolder is the same for an address that may be the path of a Unix socket.
func (s *Settings) socketFromFolder(address *string, steps ...any) {
	if path, ok := strings.CutPrefix(*address, "unix:"); ok && path != "" {
		origin, _ := s.text().Where(steps...)
		if path, err := fromFolder(origin.File, path); err == nil {
			*address = "unix:" + path
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
	s.Elsewhere.complete()
	s.Web.complete()
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
