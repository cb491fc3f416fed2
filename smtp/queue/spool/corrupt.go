package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/postrider-mail/postrider/mailstore/durable"
)

// What cannot be read is put aside, and what is known of it said: whether a
// message that somebody was told is safe has been lost, or one that was never
// acknowledged and that its client sends again.

// errTorn: the file does not end as every file of ours does. So does one that a
// crash caught while it was accepted.
var errTorn = fmt.Errorf("%w: not whole", errFormat)

// The verdicts.
const (
	verdictTorn    = "it was being accepted when the system went down and not acknowledged, unless the file was cut since"
	verdictDamaged = "it was damaged after it was written; it may have been acknowledged"
	verdictLost    = "it was acknowledged and has been damaged since"
)

// verdict says what an entry that cannot be read must have been. A state is saved
// for those only that were acknowledged. Without one, what tells is the end of
// the file: a file system that loses some of what was not synced loses the end.
func verdict(name string, reason error) string {
	for _, ext := range []string{stateExt, stateExt + tmpExt} {
		if _, err := os.Lstat(name + ext); err == nil {
			return verdictLost
		}
	}
	if errors.Is(reason, errTorn) {
		return verdictTorn
	}
	return verdictDamaged
}

// whyExt is that of the file beside one put aside which tells the reason.
const whyExt = ".why"

// putAside moves an entry that cannot be read, and its state, to where an
// operator finds them, with the reason beside them.
func (s *Spool) putAside(ctx context.Context, name, id string, reason error) {
	why := verdict(name, reason)
	for n := range 1000 {
		to := filepath.Join(s.dir, "corrupt", id)
		if n > 0 {
			to += "." + strconv.Itoa(n)
		}
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		err := s.disk.Commit(ctx, &durable.Tx{Steps: move(name, to)})
		level := s.Log.Error
		if why == verdictTorn {
			level = s.Log.Warn
		}
		level("queue entry put aside", "id", id, "to", to, "verdict", why, "reason", reason, "err", err)
		if err == nil {
			s.writeWhy(ctx, to+whyExt, fmt.Sprintf("%s: %v\n%s\n", id, reason, why))
		}
		return
	}
}

// writeWhy leaves word of the reason; the log has it, whatever becomes of this.
func (s *Spool) writeWhy(ctx context.Context, name, text string) {
	if err := s.disk.ReplaceFile(ctx, name, []byte(text)); err != nil {
		s.Log.Warn("no note of why a queue entry was put aside", "file", name, "err", err)
	}
}

// move renames an entry's file and its state, where there is one.
func move(from, to string) []durable.Step {
	var steps []durable.Step
	for _, ext := range []string{stateExt + tmpExt, stateExt} {
		if _, err := os.Lstat(from + ext); err == nil {
			steps = append(steps, durable.Rename(from+ext, to+ext))
		}
	}
	return append(steps, durable.Rename(from, to))
}

// Corrupt counts what was put aside and is still there.
func (s *Spool) Corrupt() (n int, err error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "corrupt"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), tmpExt)
		if !strings.HasSuffix(name, stateExt) && !strings.HasSuffix(name, whyExt) {
			n++
		}
	}
	return n, err
}
