package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/mailstore/archive"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// progress is one line on a terminal that is written again and again. To
// anything but a terminal it writes nothing.
type progress struct {
	w     io.Writer
	total int64
	at    func() int64 // how much of total is done, if that is not counted in messages
	used  bool
}

func newProgress(cmd *cobra.Command, total int64) *progress {
	p := &progress{total: total}
	if f, ok := cmd.ErrOrStderr().(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.w = f
		}
	}
	return p
}

const barWidth = 30

func (p *progress) show(done int64, text string) {
	if p.w == nil {
		return
	}
	p.used = true
	bar := ""
	if p.at != nil {
		done = p.at()
	}
	if p.total > 0 {
		n := int(min(done*barWidth/p.total, barWidth))
		bar = fmt.Sprintf("[%s%s] %3d%% ", strings.Repeat("=", n), strings.Repeat(" ", barWidth-n), min(done*100/p.total, 100))
	}
	fmt.Fprintf(p.w, "\r%s%s\x1b[K", bar, text)
}

// clear takes the line away, for another one in its place.
func (p *progress) clear() {
	if p.used {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func (p *progress) end() {
	if p.used {
		fmt.Fprintln(p.w)
	}
}

func (p *progress) stats(s archive.Stats) {
	p.show(s.Done+s.Skipped+s.Failed, fmt.Sprintf("%d messages, %s, %d there already", s.Done, size(s.Octets), s.Skipped))
}

func (p *progress) copied(c maildir.Copied) {
	p.show(c.Messages, fmt.Sprintf("%d messages, %d copied, %s", c.Messages, c.Copied, size(c.Octets)))
}

// size writes octets for people.
func size(n int64) string {
	units := []string{"octets", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d %s", n, units[0])
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}
