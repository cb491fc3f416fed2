package post

import (
	"fmt"
	"testing"
	"time"
)

// TestRates: a user has so many messages and recipients in an hour, to the last one
// and not one more; what was refused does not count; others are not touched.
func TestRates(t *testing.T) {
	start := time.Date(2026, 11, 30, 12, 3, 0, 0, time.UTC)
	for _, c := range []struct {
		rate                 Rate
		messages, recipients int // of each message
		want                 int // messages taken
		text                 string
	}{
		{Rate{Messages: 3}, 1, 2, 3, "ann@mail.test may have 3 messages an hour, has sent 3 since 12:03; try again at 13:03 UTC"},
		{Rate{Recipients: 4}, 1, 2, 2, "ann@mail.test may have 4 recipients an hour, has named 4 since 12:03; try again at 13:03 UTC"},
		{Rate{Recipients: 5}, 1, 2, 2, "ann@mail.test may have 5 recipients an hour, has named 4 since 12:03; try again at 13:03 UTC"},
		{Rate{Messages: 2, Recipients: 9}, 1, 3, 2, "ann@mail.test may have 2 messages an hour, has sent 2 since 12:03; try again at 13:03 UTC"},
		{Rate{}, 1, 1000, 50, ""},
	} {
		var r rates
		taken, news := 0, 0
		for i := range 50 {
			refused, first := r.take("ann@mail.test", c.rate, c.messages, c.recipients, start.Add(time.Duration(i)*time.Second))
			if refused == nil {
				taken++
			} else if refused.Code != 450 || refused.Enhanced != "4.7.1" || refused.Text != c.text {
				t.Errorf("%+v: said %q, want %q", c.rate, refused, c.text)
			}
			if first != nil {
				news++
				if first.Messages != taken || first.Recipients != taken*c.recipients || !first.Until.Equal(start.Add(time.Hour)) {
					t.Errorf("%+v: told of %+v", c.rate, first)
				}
			}
		}
		if taken != c.want || news != min(1, 50-taken) {
			t.Errorf("%+v: %d messages taken, %d times told, want %d", c.rate, taken, news, c.want)
		}
		if refused, _ := r.take("bob@mail.test", c.rate, c.messages, c.recipients, start); refused != nil {
			t.Errorf("%+v: bob hears %v", c.rate, refused)
		}
		if refused, _ := r.take("ann@mail.test", c.rate, c.messages, c.recipients, start.Add(time.Hour-1)); (refused == nil) != (c.text == "") {
			t.Errorf("%+v: at the end of the hour %v", c.rate, refused)
		}
		if refused, _ := r.take("ann@mail.test", c.rate, c.messages, c.recipients, start.Add(time.Hour)); refused != nil {
			t.Errorf("%+v: an hour later %v", c.rate, refused)
		}
	}
	// Those whose hour is over are forgotten.
	var r rates
	for i := range 3000 {
		r.take(fmt.Sprint(i), Rate{Messages: 1}, 1, 1, start.Add(time.Duration(i)*time.Minute))
	}
	if len(r.by) > 512 {
		t.Errorf("%d users are remembered", len(r.by))
	}
}
