package daemon

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// QuickStartAccount is the account that QuickStart makes.
const QuickStartAccount = "me@localhost"

// quickStartFile is where QuickStart keeps the settings it made.
const quickStartFile = "postrider.conf"

// quickStartConf are those settings. Nothing in them listens to the world.
const quickStartConf = `// Made by "postrider serve" when it was started without a configuration.
// It listens on this machine only. Change what you like; "postrider conf doc"
// explains every setting.
{
	"server_name": "localhost",
	"data_dir": ".",

	"Listeners": [
		{"address": "127.0.0.1:2525", "protocol": "smtp"},
		{"address": "127.0.0.1:2587", "protocol": "submission"},
		{"address": "127.0.0.1:2465", "protocol": "submission", "tls": "implicit"},
		{"address": "127.0.0.1:2110", "protocol": "pop3"},
		{"address": "127.0.0.1:2995", "protocol": "pop3", "tls": "implicit"},
	],

	// How it is: http://127.0.0.1:2580/metrics; pages at /account/ and /admin/
	// The mail in your mailbox: http://localhost:2580/account/mail/
	"Web": {"listen": "127.0.0.1:2580", "viewer": true},

	// Mail for other hosts is refused. Take this line out to deliver it.
	"Queue": {"deliver": false},

	"Accounts": {
		"%s": {
			"password": "%s",
			"scram_sha_256": "%s",
			"cram_md5": "%s",
		},
	},
}
`

// Start is a configuration folder that works at once.
type Start struct {
	dir      string
	password string // empty if the folder was there: only its hash was kept
	shown    bool
}

// QuickStart makes dir a configuration folder that works at once, with one
// account and a random password. A folder that has been made so before stays as
// it is.
func QuickStart(dir string) (*Start, error) {
	name := filepath.Join(dir, quickStartFile)
	if _, err := os.Stat(name); err == nil {
		return &Start{dir: dir}, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("quick start: %w", err)
	}
	password := rand.Text()[:20]
	text, err := quickStartText(password)
	if err != nil {
		return nil, fmt.Errorf("quick start: %w", err)
	}
	if err := writeDurably(dir, name, text); err != nil {
		return nil, fmt.Errorf("quick start: %w", err)
	}
	return &Start{dir: dir, password: password}, nil
}

// Forget takes back the settings whose password nobody has been shown, so that
// the next start makes new ones.
func (s *Start) Forget() error {
	if s.password == "" || s.shown {
		return nil
	}
	return os.Remove(filepath.Join(s.dir, quickStartFile))
}

// writeDurably puts a small file, mode 0600, into a directory.
func writeDurably(dir, name, text string) error {
	disk, err := durable.Open(dir)
	if err != nil {
		return err
	}
	defer disk.Close()
	return disk.ReplaceFile(context.Background(), name, []byte(text))
}

func quickStartText(password string) (string, error) {
	hash, err := passwd.Hash([]byte(password))
	if err != nil {
		return "", err
	}
	scram, err := sasl.MakeScram(sasl.ScramSHA256, []byte(password), 0)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(quickStartConf, QuickStartAccount, hash,
		sasl.FormatScram(sasl.ScramSHA256, scram),
		sasl.FormatCRAM(sasl.MakeCRAM([]byte(password)))), nil
}

// Introduce prints what a newcomer can do with it, ready to paste.
func (s *Start) Introduce(w io.Writer) {
	s.shown = true
	dir, shown := s.dir, cmp.Or(s.password, "PASSWORD")
	cert := filepath.Join(dir, "tls", "self-signed.crt")
	fmt.Fprintf(w, `Postrider runs without a configuration: on this machine only, settings and
mail in %[1]s.

  send a message:
    printf 'Subject: hello\r\n\r\nIt works.\r\n' | curl -sS smtp://127.0.0.1:2525 --mail-from you@example.com --mail-rcpt %[2]s -T -
  fetch it back:
    curl -sS --cacert %[4]s -u %[2]s:%[3]s pop3s://127.0.0.1:2995/1
  send as the account, over TLS:
    printf 'Subject: hello\r\n\r\nIt works.\r\n' | curl -sS --cacert %[4]s -u %[2]s:%[3]s smtps://127.0.0.1:2465 --mail-from %[2]s --mail-rcpt %[2]s -T -

`, dir, QuickStartAccount, shown, shellWord(cert))
	if s.password == "" {
		fmt.Fprintf(w, "The password was shown at the first start. For a new one:\n    postrider user passwd -c %s %s\n\n", shellWord(dir), QuickStartAccount)
	} else {
		fmt.Fprintf(w, "The password is %s; it is not shown again.\n\n", s.password)
		fmt.Fprintf(w, "In a browser, it opens http://localhost:2580/account/, and shows the mail at http://localhost:2580/account/mail/. For http://localhost:2580/admin/ there is nobody yet:\n    postrider admin add -c %s NAME\n\n", shellWord(dir))
	}
}

// shellWord writes a path as one word of a command line.
func shellWord(path string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+@", r)
	}
	if strings.TrimFunc(path, plain) == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
