package daemon

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
)

// TestWelcome: the first start leads to the DNS, the second does not.
func TestWelcome(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "mail.conf")
	text := `{"server_name": "mail.example.test", "data_dir": "data", "Listeners": [{"address": "127.0.0.1:0", "protocol": "smtp"}]}`
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		var log bytes.Buffer
		d, err := New(func() (*conf.Settings, error) { return conf.Load(name) }, &log)
		if err != nil {
			t.Fatal(err)
		}
		d.closeAll()
		if said := strings.Contains(log.String(), "postrider dns show"); said != (round == 0) {
			t.Errorf("start %d:\n%s", round, log.String())
		}
	}
}
