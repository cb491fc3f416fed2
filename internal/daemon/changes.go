package daemon

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/postrider-mail/postrider/internal/change"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/pages/admin"
)

// change edits the files of the configuration, and puts the settings in force. It is refused where they could not come into force.
func (d *Daemon) change(ctx context.Context, edit change.Editor) error {
	if d.Configuration == "" {
		return errors.New("this server was not told where the files of its settings are")
	}
	// One after the other: what the one has written and not had read yet is no stranger's edit for the next.
	d.changing.Lock()
	defer d.changing.Unlock()
	// Who has closed the window meanwhile wants it no less: it is not to stop halfway.
	ctx = context.WithoutCancel(ctx)
	var found *conf.Settings // as the files are without the change
	noting := func(s *conf.Settings) ([]*conf.Edit, error) {
		found = s
		return edit(s)
	}
	accept := func(after *conf.Settings) error { return cmp.Or(d.accept(after), d.unread(found)) }
	_, err := change.Files{Path: d.Configuration, Probes: probes, Accept: accept}.Apply(ctx, noting)
	if refused := (*change.Refused)(nil); errors.As(err, &refused) {
		return errors.New("nothing was changed, as no server would start with that: " + strings.Join(refused.Reasons(), "; "))
	}
	if err != nil {
		return err
	}
	if err := d.Reload(); err != nil {
		return fmt.Errorf("it is written into the files, but this server goes on with what it had: %w", err)
	}
	return nil
}

// unread refuses a change while the files have others' edits that this server has not read: it would put those into force as well, which nobody
// has asked for at the page.
func (d *Daemon) unread(found *conf.Settings) error {
	files := d.state().settings.Unread(found)
	if len(files) == 0 {
		return nil
	}
	for i, name := range files {
		files[i] = filepath.Base(name)
	}
	return fmt.Errorf(`nothing was changed: somebody has edited %s, and this server has not read that yet; it would come into force with this change. Have it read first, on the page of the settings or by "postrider reload"`,
		strings.Join(files, ", "))
}

// filePages sees the files of the settings for administrators.
type filePages struct{ d *Daemon }

// Unread implements admin.Files.
func (p filePages) Unread() ([]string, error) {
	if p.d.Configuration == "" {
		return nil, nil
	}
	now, err := conf.Load(p.d.Configuration)
	if err != nil {
		return nil, err
	}
	return p.d.state().settings.Unread(now), nil
}

// Reload implements admin.Files.
func (p filePages) Reload() error { return p.d.Reload() }

// accept says why this server cannot go by settings.
func (d *Daemon) accept(after *conf.Settings) error {
	wrong := append(after.CheckWith(probes), d.state().settings.NeedsRestart(after)...)
	if len(wrong) > 0 {
		return fmt.Errorf("nothing was changed, as the files have something that cannot come into force, which somebody has to mend first: %w", errors.Join(wrong...))
	}
	return nil
}

// outdated refuses what is not as the page has shown it. shown is what the form says, running what this server goes by, and
// files what stands in the files.
func outdated(shown, running, files string) error {
	switch {
	case shown == files:
		return nil
	case shown == running:
		return errors.New("nothing was changed: the files have something else here than this server goes by; somebody has changed them, and not run postrider reload")
	}
	return admin.ErrOutdated
}

// stampOf is something that changes with facts.
func stampOf(facts ...any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", facts))
	return hex.EncodeToString(sum[:8])
}
