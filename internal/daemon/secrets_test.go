package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/smtp"
)

// TestSealedPassword: a route logs in with a password that only the server's
// key opens, and one in clear works with a warning. Neither is ever logged.
func TestSealedPassword(t *testing.T) {
	config, ca := serverPair(t)
	provider, got := sinkServer(t, func(s *smtp.Server) {
		s.TLSConfig, s.TLSMode, s.RequireAuth = config, smtp.StartTLS, true
		s.Credentials = sasl.PasswordFunc(func(user, password, _ string) error {
			if user != "me" || password != "hunter2" {
				return sasl.ErrDenied
			}
			return nil
		})
	})
	keyFile := filepath.Join(t.TempDir(), "secret.key")
	key, err := seal.CreateKey(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	seal := func(subject string) string {
		s, err := key.SealText([]byte("hunter2"), []byte(subject))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(seal("route:domain:.far.test")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := start(t, fmt.Sprintf(`"secret_key_file": %q, "SMTP": {"relay_from": ["127.0.0.1/32"]},
		"Queue": {"retry_first": "1s", "retry_max": "1s", "ca_file": %q, "Routes": [
			{"name": "provider", "domain": "far.test", "host": "127.0.0.1", "port": %d, "user": "me", "password": %q},
			{"domain": ".far.test", "host": "127.0.0.1", "port": %[3]d, "user": "me", "password_file": %[5]q},
			{"domain": "third.test", "host": "127.0.0.1", "port": %[3]d, "user": "me", "password": "hunter2"},
		]},`, keyFile, ca, provider.Port, seal("route:name:provider"), file))
	for _, to := range []string{"<friend@far.test>", "<friend@deep.far.test>", "<friend@third.test>"} {
		w.greeted().send("<>", []string{to}, "Subject: s\r\n\r\nx")
		if m := receive(t, got); !strings.HasPrefix(m, "<> "+to) {
			t.Errorf("got %q", m)
		}
	}
	logs := w.logs.String()
	if strings.Count(logs, "a password in the configuration can be read") != 1 || !strings.Contains(logs, "postrider conf seal third.test") {
		t.Errorf("the log says\n%s", logs)
	}
	if strings.Contains(logs, "hunter2") || strings.Contains(logs, "sealed:") {
		t.Errorf("the log has the password\n%s", logs)
	}
}
