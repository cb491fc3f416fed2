package admin

import (
	"fmt"
	"html/template"
	"strings"
)

// Traffic is what came and went within one span.
type Traffic struct {
	Taken, Refused, Delivered, Deferred, BadLogins int64
}

// flow is a picture of the traffic of some time, with its sums.
type flow struct {
	Title   string
	Picture template.HTML // made of numbers alone, never of anybody's words
	// Logins is the same of failed ones, by a measure of its own; empty: there were none.
	Logins template.HTML
	Sum    Traffic
}

// The picture, in units of its own: bars above the line are what came in, those below it what left.
const (
	barWidth = 10
	half     = 60
)

func newFlow(title string, spans []Traffic) flow {
	f := flow{Title: title}
	most := int64(1)
	for _, s := range spans {
		f.Sum.Taken += s.Taken
		f.Sum.Refused += s.Refused
		f.Sum.Delivered += s.Delivered
		f.Sum.Deferred += s.Deferred
		f.Sum.BadLogins += s.BadLogins
		most = max(most, max(s.Taken, 0)+max(s.Refused, 0), max(s.Delivered, 0)+max(s.Deferred, 0))
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-label="%s: at most %d in one span">`, len(spans)*barWidth, 2*half, title, most)
	for i, s := range spans {
		up := bars{&b, i * barWidth, half, -1, most}
		up.add("taken", s.Taken)
		up.add("refused", s.Refused)
		down := bars{&b, i * barWidth, half, 1, most}
		down.add("delivered", s.Delivered)
		down.add("deferred", s.Deferred)
	}
	fmt.Fprintf(&b, `<path class="axis" d="M0 %d h%d"/></svg>`, half, len(spans)*barWidth)
	f.Picture = template.HTML(b.String())
	f.Logins = badLogins(title, spans)
	return f
}

// loginsHeight is that of the picture of failed logins.
const loginsHeight = 20

// badLogins draws failed logins: somebody who guesses makes so many that mail would not be seen beside them.
func badLogins(title string, spans []Traffic) template.HTML {
	most := int64(0)
	for _, s := range spans {
		most = max(most, s.BadLogins)
	}
	if most == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="low" viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-label="%s: at most %d failed logins in one span">`, len(spans)*barWidth, loginsHeight, title, most)
	for i, s := range spans {
		if s.BadLogins > 0 {
			height := max(1, int(float64(s.BadLogins)/float64(most)*loginsHeight))
			fmt.Fprintf(&b, `<rect class="logins" x="%d" y="%d" width="%d" height="%d"/>`, i*barWidth+1, loginsHeight-height, barWidth-2, height)
		}
	}
	fmt.Fprintf(&b, `<path class="axis" d="M0 %d h%d"/></svg>`, loginsHeight, len(spans)*barWidth)
	return template.HTML(b.String())
}

// bars stand on each other, up or down from the line.
type bars struct {
	b     *strings.Builder
	x, y  int
	way   int // 1: down, -1: up
	scale int64
}

func (s *bars) add(class string, n int64) {
	if n <= 0 {
		return
	}
	height := max(1, int(float64(n)/float64(s.scale)*half)) // a single message among thousands is seen
	top := s.y
	if s.way < 0 {
		top -= height
	}
	fmt.Fprintf(s.b, `<rect class="%s" x="%d" y="%d" width="%d" height="%d"/>`, class, s.x+1, top, barWidth-2, height)
	s.y += s.way * height
}
