package daemon

import (
	"errors"
	"io/fs"
	"os"

	"github.com/postrider-mail/postrider/internal/conf"
)

// welcome leads who starts a server for the first time to what only they can do.
func (d *Daemon) welcome(s *conf.Settings) {
	if _, err := os.Stat(s.MailDir); errors.Is(err, fs.ErrNotExist) && !s.OnlyHere() {
		d.log.Info("first start; mail comes once the DNS leads here", "records", "postrider dns show", "domains", s.Book().Domains())
	}
}
