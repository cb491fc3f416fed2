//go:build unix

package logs

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// isJournal reports whether w is the stream that systemd has connected to its
// journal: it names it in JOURNAL_STREAM, as device and inode (systemd.exec(5)).
func isJournal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
