package logs

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/mailtest"
)

// broken is a disk that takes nothing.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no room") }

// TestAlso: whoever gets every line too gets it as it is written, and also where it cannot be.
func TestAlso(t *testing.T) {
	var also mailtest.Log
	to := NewFile(broken{})
	to.Also(&also)
	New(to, conf.Log{Level: slog.LevelInfo}, new(slog.LevelVar)).Info("one", "words", "\u202e")
	if got := also.String(); !strings.Contains(got, "msg=one") || strings.Contains(got, "\u202e") || !strings.HasSuffix(got, "\n") {
		t.Errorf("%q", got)
	}
}

// TestLeftOut: every line that is left out is counted.
func TestLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b mailtest.Log
		to := NewFile(&b)
		log := New(to, conf.Log{Level: slog.LevelInfo}, new(slog.LevelVar))
		for i := range linesPerBlock + 7 {
			log.Warn("login failed", "remote", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: i})
		}
		if got := to.LeftOut(); got != 7 || strings.Count(b.String(), "login failed") != linesPerBlock {
			t.Error(fmt.Sprint(got), strings.Count(b.String(), "login failed"))
		}
		time.Sleep(2 * linesInterval)
	})
}
