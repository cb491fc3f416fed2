package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/sys"
)

// nameVariable is how a server gets its name where nobody can call "conf init"
// before it starts: in a container.
const nameVariable = "POSTRIDER_SERVER_NAME"

// portsFile is what a container's settings have beside those of "conf init".
const portsFile = "15-ports.conf"

const portsText = `// Made at the first start, as $` + nameVariable + ` asked for. These ports need no
// privileges; the container's are mapped to them: 25 to 2525, and so on. Mail is
// beside the settings, on the same volume.
{
    "data_dir": "../data",
    "Listeners": [
        {"address": ":2525", "protocol": "smtp"},
        {"address": ":2587", "protocol": "submission"},
        {"address": ":2465", "protocol": "submission", "tls": "implicit"},
        {"address": ":2110", "protocol": "pop3"},
        {"address": ":2995", "protocol": "pop3", "tls": "implicit"},
    ],

    // Let's Encrypt issues a certificate, asking at port 80, which is mapped to
    // this one; the terms are yours to accept: https://letsencrypt.org/repository/
    // "TLS": {"ACME": {"accept_terms": true, "listen": ":2080"}},
}
`

// firstStart makes settings in dir where there are none and the environment has
// a name for the server. Mail without settings is no first start: a volume that
// was mixed up would look as if all accounts were gone.
func firstStart(cmd *cobra.Command, dir string) error {
	_, missing := conf.Files(dir)
	if info, err := os.Stat(dir); missing == nil || err == nil && !info.IsDir() {
		return nil
	}
	name := os.Getenv(nameVariable)
	if name == "" {
		return fmt.Errorf("%w; with $%s=mail.example.com some are made at the first start", missing, nameVariable)
	}
	texts, err := conf.Samples(name)
	if err != nil {
		return fmt.Errorf("$%s: %w", nameVariable, err)
	}
	texts[portsFile] = []byte(portsText)
	data := filepath.Join(filepath.Dir(dir), "data")
	if _, err := os.Stat(filepath.Join(data, "mail")); err == nil {
		return fmt.Errorf("there is mail in %s, and no settings in %s: this is no first start; bring the settings back, or move the mail away", data, dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return notOurs(dir, err)
	}
	if _, err := writeSettings(cmd, dir, texts); err != nil {
		return notOurs(dir, err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "settings for %s are in %s now; add somebody: postrider user add alice@...\n", name, dir)
	return nil
}

// notOurs tells of a volume whose owner is another whose it is, and what mends it.
func notOurs(dir string, err error) error {
	if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, sys.ReadOnlySystem) {
		return err
	}
	for at := dir; ; at = filepath.Dir(at) {
		info, statErr := os.Stat(at)
		if statErr != nil && at != filepath.Dir(at) {
			continue
		}
		if errors.Is(err, sys.ReadOnlySystem) || statErr != nil {
			return fmt.Errorf("%w; mount a volume there that can be written to", err)
		}
		return fmt.Errorf("%w: %s belongs to %s, and this runs as user %d; run, where the volume is: chown %[4]d:%d VOLUME", err, at, userName(ownerOf(info)), os.Geteuid(), os.Getegid())
	}
}
