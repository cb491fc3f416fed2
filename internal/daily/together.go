package daily

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Common is where servers bring together what each has counted, so that one of them tells for all.
type Common interface {
	// Server tells this server from the others, also after a restart.
	Server() string
	// Update replaces what is under a name by what change makes of it (nil: leaves it); change may be called again, where another server was
	// faster. It returns what is there then.
	Update(ctx context.Context, kind, name string, change func(text []byte) ([]byte, error)) ([]byte, error)
	// Delete forgets it. What is not there is no error.
	Delete(ctx context.Context, kind, name string) error
}

// gathered is what several servers have counted on one day.
type gathered[P any] struct {
	Brought []string     `json:"brought"`        // who has brought what he had
	At      time.Time    `json:"at"`             // when the last one did
	Took    []string     `json:"took,omitempty"` // who has taken it to tell of it
	Domains map[string]P `json:"domains,omitempty"`
}

const (
	// settle is how long all servers need to bring what they have, once they can.
	settle = 3 * save
	// mostGathered bounds a day that is brought together, in octets. A server that would make it larger tells for itself.
	mostGathered = 16 << 20
)

var errFull = errors.New("there is too much of it")

// gather brings what was counted here on a day that is over to what others have, and takes all of it where it is time and nobody else
// has. It reports whether what is here now is to be told by this server.
func (b *Book[T, P]) gather(ctx context.Context, name string, due bool, now time.Time) (mine bool, err error) {
	if mine, err = b.bring(ctx, name, now); err != nil || !due {
		return false, err
	}
	taken, err := b.take(ctx, name, now)
	return mine || taken, err
}

// bring brings this server's counts. mine: there are some here that it has to tell itself.
func (b *Book[T, P]) bring(ctx context.Context, name string, now time.Time) (mine bool, err error) {
	b.mu.Lock()
	d := b.days[name]
	var counts []byte
	if d != nil && len(d.domains) > 0 {
		counts, err = json.Marshal(d.domains)
	}
	b.mu.Unlock()
	if counts == nil || err != nil {
		return false, err
	}
	_, err = b.Common.Update(ctx, b.Kind, name, func(text []byte) ([]byte, error) {
		mine = false
		all := b.parse(text)
		if slices.Contains(all.Brought, b.Common.Server()) {
			mine = slices.Contains(all.Took, b.Common.Server()) // else it was brought already, and not forgotten yet
			return nil, nil
		}
		var own map[string]P
		if err := json.Unmarshal(counts, &own); err != nil {
			return nil, err
		}
		all.Brought, all.At = append(all.Brought, b.Common.Server()), now
		b.add(all.Domains, own)
		text, err := json.Marshal(all)
		if err == nil && len(text) > mostGathered {
			err = errFull
		}
		return text, err
	})
	switch {
	case errors.Is(err, errFull):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("bring %s of %s together: %w", b.What, name, err)
	case mine:
		return true, nil
	}
	b.mu.Lock()
	delete(b.days, name)
	b.mu.Unlock()
	if b.Cache != nil {
		err = b.Cache.Delete(ctx, b.Kind, name)
	}
	return false, err
}

// take has this server tell what all have brought. It is gone from there before it is kept here: a server that dies in between tells nobody of
// it, for better never than twice.
func (b *Book[T, P]) take(ctx context.Context, name string, now time.Time) (taken bool, err error) {
	var took map[string]P
	_, err = b.Common.Update(ctx, b.Kind, name, func(text []byte) ([]byte, error) {
		all := b.parse(text)
		took = nil
		if len(all.Domains) == 0 || now.Sub(all.At).Abs() < settle { // others may be about to bring theirs
			return nil, nil
		}
		took = all.Domains
		all.Domains = nil
		if !slices.Contains(all.Took, b.Common.Server()) {
			all.Took = append(all.Took, b.Common.Server())
		}
		return json.Marshal(all)
	})
	if err != nil {
		return false, fmt.Errorf("take %s of %s: %w", b.What, name, err)
	}
	if len(took) == 0 {
		return false, nil
	}
	b.mu.Lock()
	d := b.day(name)
	b.add(d.domains, took)
	d.dirty = true
	b.mu.Unlock()
	return true, b.saveDay(ctx, name)
}

// parse reads what was gathered; what cannot be read is gathered anew.
func (b *Book[T, P]) parse(text []byte) (all gathered[P]) {
	if text != nil && json.Unmarshal(text, &all) != nil {
		all = gathered[P]{}
	}
	if all.Domains == nil {
		all.Domains = make(map[string]P)
	}
	return all
}

// add adds the counts of domains to others, as far as there is room.
func (b *Book[T, P]) add(into, from map[string]P) {
	for domain, counts := range from {
		switch there := into[domain]; {
		case counts == nil:
		case there != nil:
			b.Add(there, counts)
		case len(into) < b.Most:
			into[domain] = counts
		}
	}
}
