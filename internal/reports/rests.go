package reports

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/daily"
	"github.com/postrider-mail/postrider/rfc2822"
)

// A mailbox that sends a report back gets none for a day, then for two, four and so on,
// up to about two months. After as long without a bounce all is forgotten.
const (
	firstRest   = 24 * time.Hour
	longestRest = 64 * firstRest
	maxRests    = 10000
)

// rests is who rests. A bounce counts if it shows the Message-ID of a report to that
// mailbox, which only those know who have had it: else anybody could end the reports to
// others.
type rests struct {
	cache daily.Cache
	mu    sync.Mutex
	kept  keptRests
}

type keptRests struct {
	Key  string           `json:"key"`
	Rest map[string]*rest `json:"rest"`
}

type rest struct {
	Bounces int       `json:"bounces"`
	Until   time.Time `json:"until"`
}

// recallRests takes up what a former life knew.
func recallRests(cache daily.Cache) *rests {
	r := &rests{cache: cache}
	if data, ok := cache.Get("dmarc", "rests"); ok {
		if json.Unmarshal(data, &r.kept) != nil {
			r.kept = keptRests{}
		}
	}
	if r.kept.Key == "" {
		r.kept.Key = rand.Text()
	}
	if r.kept.Rest == nil {
		r.kept.Rest = make(map[string]*rest)
	}
	maps.DeleteFunc(r.kept.Rest, func(_ string, one *rest) bool { return one == nil })
	return r
}

func (r *rests) resting(address string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.kept.Rest[address]
	return one != nil && now.Before(one.Until)
}

// messageID is that of the report about a domain's day to an address, the same in each
// attempt.
func (r *rests) messageID(day time.Time, domain, address, host string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	mac := hmac.New(sha256.New, []byte(r.kept.Key))
	fmt.Fprintf(mac, "%s\n%s\n%s", day.Format(time.DateOnly), domain, address)
	return fmt.Sprintf("<dmarc.%s.%s.%s@%s>", day.Format(time.DateOnly), hex.EncodeToString(mac.Sum(nil)[:16]), domain, host)
}

// bounced has an address rest for a report that came back, and reports whether it was one
// of ours. Several that were on their way count as one.
func (r *rests) bounced(id, address string, now time.Time) bool {
	name, host, _ := strings.Cut(strings.Trim(id, "<>"), "@")
	parts := strings.SplitN(name, ".", 4)
	if len(parts) != 4 || parts[0] != "dmarc" {
		return false
	}
	day, err := time.Parse(time.DateOnly, parts[1])
	if err != nil || !hmac.Equal([]byte(r.messageID(day, parts[3], address, host)), []byte(id)) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.kept.Rest[address]
	switch {
	case one == nil || now.After(one.Until.Add(longestRest)):
		one = &rest{}
		r.kept.Rest[address] = one
	case now.Before(one.Until):
		return true
	}
	one.Until = now.Add(min(firstRest<<min(one.Bounces, 10), longestRest))
	one.Bounces++
	r.trim(now)
	return true
}

// trim forgets who has long been well, and who rests for the shortest time, if there are
// too many.
func (r *rests) trim(now time.Time) {
	maps.DeleteFunc(r.kept.Rest, func(_ string, one *rest) bool { return now.After(one.Until.Add(longestRest)) })
	if len(r.kept.Rest) > maxRests {
		delete(r.kept.Rest, slices.MinFunc(slices.Collect(maps.Keys(r.kept.Rest)), func(a, b string) int {
			return cmp.Or(r.kept.Rest[a].Until.Compare(r.kept.Rest[b].Until), strings.Compare(a, b))
		}))
	}
}

// save keeps who rests, and the key.
func (r *rests) save(ctx context.Context) error {
	r.mu.Lock()
	data, err := json.Marshal(r.kept)
	r.mu.Unlock()
	if err != nil {
		return err
	}
	return r.cache.Put(ctx, "dmarc", "rests", data)
}

// Bounced is told of a bounce that came to Address, and reports whether it was one of a
// report of ours. Its addressee has a rest then. It is made for Reader.Bounced.
func (s *Sender) Bounced(ctx context.Context, b *rfc2822.Report) bool {
	if b.Returned == nil || !slices.ContainsFunc(b.Recipients, func(r rfc2822.RecipientStatus) bool { return r.Action == rfc2822.Failed }) {
		return false
	}
	to, _ := rfc2822.ReadAddressList(b.Returned.Get("To"))
	if len(to) != 1 || !s.rests.bounced(strings.TrimSpace(b.Returned.Get("Message-ID")), to[0].Addr(), time.Now()) {
		return false
	}
	if err := s.rests.save(ctx); err != nil {
		s.log().Error("it will be forgotten who sends reports back", "err", err)
	}
	return true
}
