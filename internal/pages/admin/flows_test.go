package admin

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestFlow: every bar lies within the picture, whatever the numbers, one message among many is seen, and
// nothing but numbers is in it.
func TestFlow(t *testing.T) {
	for name, spans := range map[string][]Traffic{
		"nothing":                  make([]Traffic, 60),
		"one":                      {{}, {Taken: 1}, {}},
		"one among many":           {{Taken: 1e6}, {Taken: 1, Refused: 1, Delivered: 1, Deferred: 1}},
		"all at once":              {{Taken: 500, Refused: 500, Delivered: 1, Deferred: 999, BadLogins: 3}},
		"a lot":                    {{Taken: math.MaxInt32, Refused: math.MaxInt32, Delivered: 7}},
		"a counter that went back": {{Taken: -5, Refused: 3}},
	} {
		f := newFlow("The last hour", spans)
		text := string(f.Picture)
		bars := regexp.MustCompile(`<rect class="([a-z]+)" x="(\d+)" y="(-?\d+)" width="8" height="(\d+)"/>`).FindAllStringSubmatch(text, -1)
		if len(bars) != strings.Count(text, "<rect") {
			t.Errorf("%s: %s", name, text)
		}
		logins := regexp.MustCompile(`<rect class="logins" x="(\d+)" y="(\d+)" width="8" height="(\d+)"/>`).FindAllStringSubmatch(string(f.Logins), -1)
		for _, bar := range logins {
			y, _ := strconv.Atoi(bar[2])
			if height, _ := strconv.Atoi(bar[3]); height < 1 || y < 0 || y+height != loginsHeight {
				t.Errorf("%s: %s", name, bar[0])
			}
		}
		if guessed := f.Sum.BadLogins > 0; guessed != (len(logins) > 0) {
			t.Errorf("%s: %d bars of failed logins", name, len(logins))
		}
		want := 0
		for _, s := range spans {
			for _, n := range []int64{s.Taken, s.Refused, s.Delivered, s.Deferred} {
				if n > 0 {
					want++
				}
			}
		}
		if len(bars) != want {
			t.Errorf("%s: %d bars, not %d", name, len(bars), want)
		}
		for _, bar := range bars {
			x, _ := strconv.Atoi(bar[2])
			y, _ := strconv.Atoi(bar[3])
			height, _ := strconv.Atoi(bar[4])
			if above := bar[1] == "taken" || bar[1] == "refused"; height < 1 || x >= len(spans)*barWidth || y < -1 || y+height > 2*half+1 || above && y+height > half || !above && y < half {
				t.Errorf("%s: %s", name, bar[0])
			}
		}
	}
	f := newFlow("x", []Traffic{{Taken: 1, Refused: 2, Delivered: 3, Deferred: 4, BadLogins: 5}, {Taken: 10, Refused: 20, Delivered: 30, Deferred: 40, BadLogins: 50}})
	if f.Sum != (Traffic{11, 22, 33, 44, 55}) {
		t.Errorf("%+v", f.Sum)
	}
}
