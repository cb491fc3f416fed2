//go:build unix

package logs

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
)

// TestJournal: what goes to the journal has a priority in front and no time of its
// own, in either format, and what a reload sends elsewhere has neither.
func TestJournal(t *testing.T) {
	for _, format := range []conf.LogFormat{conf.LogText, conf.LogJSON} {
		t.Run(string(format), func(t *testing.T) {
			dir := t.TempDir()
			stderr, err := os.Create(filepath.Join(dir, "stderr"))
			if err != nil {
				t.Fatal(err)
			}
			defer stderr.Close()
			info, err := stderr.Stat()
			if err != nil {
				t.Fatal(err)
			}
			st := info.Sys().(*syscall.Stat_t)
			t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino))
			to := NewFile(stderr)
			defer to.Close()
			log := New(to, conf.Log{Format: format, Level: slog.LevelDebug}, new(slog.LevelVar)).With("of", "all")
			log.Debug("one")
			log.Info("two", "n", 2)
			log.Warn("three")
			log.Error("four")
			if err := to.Open(filepath.Join(dir, "file"), stderr); err != nil {
				t.Fatal(err)
			}
			log.Info("five")
			journal, file := linesOf(t, stderr.Name()), linesOf(t, filepath.Join(dir, "file"))
			for i, want := range []string{"<7>", "<6>", "<4>", "<3>"} {
				if len(journal) != 4 || !strings.HasPrefix(journal[i], want) || strings.Contains(journal[i], "time") || !strings.Contains(journal[i], "all") {
					t.Fatalf("the journal has %q", journal)
				}
			}
			if !strings.Contains(journal[1], `n=2`) && !strings.Contains(journal[1], `"n":2`) {
				t.Errorf("a fact is missing: %q", journal[1])
			}
			if len(file) != 1 || strings.HasPrefix(file[0], "<") || !strings.Contains(file[0], "time") {
				t.Errorf("the file has %q", file)
			}
			t.Setenv("JOURNAL_STREAM", "1:1") // of the one who started us
			if err := to.Open("", stderr); err != nil {
				t.Fatal(err)
			}
			log.Info("six")
			if all := linesOf(t, stderr.Name()); !strings.Contains(all[len(all)-1], "time") {
				t.Errorf("what is not the journal's gets %q", all)
			}
		})
	}
}

func linesOf(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}
