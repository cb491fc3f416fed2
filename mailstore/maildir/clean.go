package maildir

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Names in tmp. What an owner left there is nobody's once the next owner has
// the lock; what a tool or another program wrote there may still be growing, so
// it goes only by age, after the 36 hours the Maildir convention gives.
const (
	tmpOwned  = "postrider-own-"
	tmpShared = "postrider-tool-"
	tmpAge    = 36 * time.Hour
)

func (s *Store) tmpName() string {
	if s.mode == Own {
		return tmpOwned + s.name.next(time.Now())
	}
	return tmpShared + s.name.next(time.Now())
}

// clean clears every mailbox's tmp of what a crash left there.
func (s *Store) clean() error {
	if domains, err := subdirs(s.root); err == nil && !s.single {
		for _, d := range domains {
			s.sweep(filepath.Join(s.root, d))
		}
	}
	removed := 0
	err := s.walk(context.Background(), func(domain, local, _ string) bool {
		box := filepath.Join(s.root, domain, local)
		removed += s.cleanTmp(filepath.Join(box, "tmp"))
		folders, _ := Folders(box)
		for _, f := range folders {
			removed += s.cleanTmp(filepath.Join(box, f, "tmp"))
		}
		return true
	})
	if removed > 0 {
		s.log.Info("cleared unfinished deliveries", "files", removed)
	}
	return err
}

func (s *Store) cleanTmp(dir string) (removed int) {
	ents, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range ents {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if !strings.HasPrefix(e.Name(), tmpOwned) {
			info, err := e.Info()
			if err != nil || time.Since(lastTouched(info)) < tmpAge {
				continue
			}
		}
		if s.fs.Remove(filepath.Join(dir, e.Name())) == nil {
			removed++
		}
	}
	return removed
}

// lastTouched is when a file in tmp was last worked on. Our own tools set the
// time of the contents to that of the message, which may be old mail.
func lastTouched(info os.FileInfo) time.Time {
	if strings.HasPrefix(info.Name(), tmpShared) {
		return changed(info)
	}
	return info.ModTime()
}
