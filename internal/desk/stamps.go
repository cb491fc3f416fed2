package desk

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/postrider-mail/postrider/internal/pages/admin"
)

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

// settings are what the page of settings shows.
func (d *Desk) settings() (all []admin.Setting) {
	for _, s := range d.Now().Settings.List() {
		all = append(all, admin.Setting(s))
	}
	return all
}
