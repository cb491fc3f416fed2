package published

import (
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
)

// TestSignaturesOutliveTheQueue: a message may be delivered on the last day of the longest queue, and read a week later: the signature is good until then,
// and the record of its key must stay.
func TestSignaturesOutliveTheQueue(t *testing.T) {
	s := conf.New()
	for _, c := range []struct{ all, one, want time.Duration }{
		{5 * 24 * time.Hour, 0, 5 * 24 * time.Hour}, {5 * 24 * time.Hour, 20 * 24 * time.Hour, 20 * 24 * time.Hour}, {9 * 24 * time.Hour, time.Hour, 9 * 24 * time.Hour},
	} {
		s.Queue.ExpireAfter, s.Queue.Domains = c.all, nil
		if c.one > 0 {
			s.Queue.Domains = map[string]*conf.QueueDomain{"far.test": {ExpireAfter: c.one}}
		}
		if got := Signing(s).Keep; got < c.want+7*24*time.Hour {
			t.Errorf("%v, and %v for one: signatures are good for %v", c.all, c.one, got)
		}
	}
}
