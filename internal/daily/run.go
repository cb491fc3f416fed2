package daily

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Save puts the counts that have changed into the Cache.
func (b *Book[T, P]) Save(ctx context.Context) error {
	if b.Cache == nil {
		return nil
	}
	var errs []error
	for _, name := range b.names() {
		errs = append(errs, b.saveDay(ctx, name))
	}
	return errors.Join(errs...)
}

// names are the days there are, in order.
func (b *Book[T, P]) names() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.days))
}

func (b *Book[T, P]) saveDay(ctx context.Context, name string) error {
	b.mu.Lock()
	d := b.days[name]
	if d == nil || !d.dirty || b.Cache == nil {
		b.mu.Unlock()
		return nil
	}
	data, err := json.Marshal(d.domains)
	d.dirty = false
	b.mu.Unlock()
	if err == nil {
		err = b.Cache.Put(ctx, b.Kind, name, data)
	}
	if err != nil {
		b.mu.Lock()
		d.dirty = true
		b.mu.Unlock()
		return fmt.Errorf("keep %s of %s: %w", b.What, name, err)
	}
	return nil
}

// Run saves the counts every five minutes and has those of each day sent after its end,
// those of days before the start included, until ctx ends.
func (b *Book[T, P]) Run(ctx context.Context) error {
	b.recall(time.Now())
	tick := time.NewTicker(save)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return b.Save(context.WithoutCancel(ctx))
		case now := <-tick.C:
			if err := b.Save(ctx); err != nil && ctx.Err() == nil {
				b.log().Error("counts for reports are not kept", "err", err)
			}
			b.sendDue(ctx, now)
		}
	}
}

// recall finds the days that were counted before the start and not told, those too that are
// too old for it, to be forgotten.
func (b *Book[T, P]) recall(now time.Time) {
	if b.Cache == nil {
		return
	}
	for back := range stale {
		name := now.UTC().AddDate(0, 0, -back).Format(form)
		if _, ok := b.Cache.Get(b.Kind, name); !ok {
			continue
		}
		b.mu.Lock()
		b.day(name)
		b.mu.Unlock()
	}
}

// sendDue sends what has its time, and gives up what had it.
func (b *Book[T, P]) sendDue(ctx context.Context, now time.Time) {
	for _, name := range b.over(ctx, now) {
		begin, err := time.Parse(form, name)
		due := begin.Add(24*time.Hour + b.spread(name))
		if err != nil || b.Common == nil && now.Before(due) {
			continue
		}
		if now.Sub(begin) >= keep {
			b.forget(ctx, name)
			continue
		}
		if b.Common != nil {
			mine, err := b.gather(ctx, name, !now.Before(due), now)
			if err != nil && ctx.Err() == nil {
				b.log().Warn("counts of several servers cannot be brought together now", "what", b.What, "day", name, "err", err)
			}
			if !mine || now.Before(due) {
				continue
			}
		}
		b.mu.Lock()
		d := b.days[name]
		wait := d == nil || now.Sub(d.tried) < retry
		b.mu.Unlock()
		if wait {
			continue
		}
		if err := b.SendDay(ctx, name); err != nil && ctx.Err() == nil {
			b.log().Warn("reports to others cannot be sent", "what", b.What, "day", name, "err", err)
		}
	}
}

// over are the days to look at, in order: those that there is something of, and where several servers count, those that others may have
// something of.
func (b *Book[T, P]) over(ctx context.Context, now time.Time) []string {
	names := b.names()
	if b.Common == nil {
		return names
	}
	today := now.UTC().Format(form)
	names = slices.DeleteFunc(names, func(name string) bool { return name >= today })
	const days = int(keep / (24 * time.Hour))
	for back := 1; back <= days; back++ {
		if name := now.UTC().AddDate(0, 0, -back).Format(form); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for back := days + 1; back <= days+2; back++ { // nobody looks at it any more
		if err := b.Common.Delete(ctx, b.Kind, now.UTC().AddDate(0, 0, -back).Format(form)); err != nil && ctx.Err() == nil {
			b.log().Error("counts for reports cannot be forgotten", "what", b.What, "err", err)
			break
		}
	}
	slices.Sort(names)
	return names
}

// spread is how long after the end of a day we send its reports: not when everybody
// does.
func (b *Book[T, P]) spread(day string) time.Duration {
	h := sha256.Sum256([]byte(b.Seed() + " " + day))
	return time.Duration(binary.BigEndian.Uint64(h[:]) % uint64(spread))
}

// SendDay sends what was counted on a day ("2026-03-01", in UTC), and forgets it. The error
// joins those of single domains, whose counts stay for another call.
func (b *Book[T, P]) SendDay(ctx context.Context, name string) error {
	begin, err := time.Parse(form, name)
	if err != nil {
		return fmt.Errorf("send %s: %w", b.What, err)
	}
	b.mu.Lock()
	d := b.day(name)
	d.tried = time.Now()
	domains := slices.Sorted(maps.Keys(d.domains))
	b.mu.Unlock()
	var errs []error
	for n, domain := range domains {
		if err := b.sendOne(ctx, begin, d, domain); err != nil {
			errs = append(errs, fmt.Errorf("send %s to %s: %w", b.What, domain, err))
		}
		if ctx.Err() != nil {
			break
		}
		if n%50 == 49 { // so that a crash does not send all of them again
			errs = append(errs, b.saveDay(ctx, name))
		}
	}
	b.mu.Lock()
	left := len(d.domains)
	b.mu.Unlock()
	if left == 0 {
		b.forget(ctx, name)
	} else {
		errs = append(errs, b.saveDay(context.WithoutCancel(ctx), name))
	}
	return errors.Join(errs...)
}

// sendOne sends the counts of one domain as they are now.
func (b *Book[T, P]) sendOne(ctx context.Context, begin time.Time, d *day[P], domain string) error {
	counts := P(new(T))
	b.mu.Lock()
	data, err := json.Marshal(d.domains[domain])
	b.mu.Unlock()
	if err == nil {
		err = json.Unmarshal(data, counts)
	}
	if err == nil {
		err = b.Send(ctx, begin, domain, counts)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	d.dirty = true
	if err != nil {
		d.domains[domain].places().Done = counts.places().Done
		return err
	}
	delete(d.domains, domain)
	return nil
}

// forget takes a day out, with what could not be sent of it.
func (b *Book[T, P]) forget(ctx context.Context, name string) {
	b.mu.Lock()
	left := 0
	if d := b.days[name]; d != nil {
		left = len(d.domains)
	}
	delete(b.days, name)
	b.mu.Unlock()
	if left > 0 {
		b.log().Warn("reports to others are given up", "what", b.What, "day", name, "domains", left)
	}
	if b.Cache != nil {
		if err := b.Cache.Delete(ctx, b.Kind, name); err != nil && ctx.Err() == nil {
			b.log().Error("counts for reports cannot be forgotten", "what", b.What, "day", name, "err", err)
		}
	}
}
