package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"
)

// Save puts the counts that have changed into the Cache.
func (t *TLSReports) Save(ctx context.Context) error {
	if t.Cache == nil {
		return nil
	}
	t.mu.Lock()
	names := slices.Sorted(maps.Keys(t.days))
	t.mu.Unlock()
	var errs []error
	for _, name := range names {
		errs = append(errs, t.saveDay(ctx, name))
	}
	return errors.Join(errs...)
}

func (t *TLSReports) saveDay(ctx context.Context, name string) error {
	t.mu.Lock()
	day := t.days[name]
	if day == nil || !day.dirty {
		t.mu.Unlock()
		return nil
	}
	data, err := json.Marshal(day.domains)
	day.dirty = false
	t.mu.Unlock()
	if err == nil {
		err = t.Cache.Put(ctx, "tlsrpt", name, data)
	}
	if err != nil {
		t.mu.Lock()
		day.dirty = true
		t.mu.Unlock()
		return fmt.Errorf("keep TLS results of %s: %w", name, err)
	}
	return nil
}

// Run saves the counts every five minutes and sends the reports of each day
// after its end, those of days before the start included, until ctx ends.
func (t *TLSReports) Run(ctx context.Context) error {
	t.recall(ctx, time.Now())
	tick := time.NewTicker(5 * time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return t.Save(context.WithoutCancel(ctx))
		case now := <-tick.C:
			if err := t.Save(ctx); err != nil && ctx.Err() == nil {
				t.log().Error("TLS results are not kept", "err", err)
			}
			t.sendDue(ctx, now)
		}
	}
}

// recall finds the days that were counted before the start and not reported,
// and forgets those that are too old for it.
func (t *TLSReports) recall(ctx context.Context, now time.Time) {
	if t.Cache == nil {
		return
	}
	for back := range rptStale {
		begin := now.UTC().Add(-time.Duration(back) * 24 * time.Hour)
		name := begin.Format(dayForm)
		if _, ok := t.Cache.Get("tlsrpt", name); !ok {
			continue
		}
		t.mu.Lock()
		t.day(name)
		t.mu.Unlock()
	}
}

// sendDue sends the reports whose time has come, and gives up those whose time
// is over.
func (t *TLSReports) sendDue(ctx context.Context, now time.Time) {
	t.mu.Lock()
	names := slices.Sorted(maps.Keys(t.days))
	t.mu.Unlock()
	for _, name := range names {
		begin, err := time.Parse(dayForm, name)
		if err != nil || now.Before(begin.Add(24*time.Hour+t.spread(name))) {
			continue
		}
		if now.Sub(begin) >= rptKeep {
			t.forget(ctx, name)
			continue
		}
		t.mu.Lock()
		day := t.days[name]
		wait := day == nil || now.Sub(day.tried) < rptRetry
		t.mu.Unlock()
		if wait {
			continue
		}
		if err := t.SendDay(ctx, name); err != nil && ctx.Err() == nil {
			t.log().Warn("TLS reports cannot be sent", "day", name, "err", err)
		}
	}
}

// spread is how long after the end of a day we send its reports: not when
// everybody does.
func (t *TLSReports) spread(day string) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(t.hostname() + " " + day))
	return time.Duration(h.Sum32()) % rptSpread
}

// forget takes a day out, with what could not be sent of it.
func (t *TLSReports) forget(ctx context.Context, name string) {
	t.mu.Lock()
	left := 0
	if day := t.days[name]; day != nil {
		left = len(day.domains)
	}
	delete(t.days, name)
	t.mu.Unlock()
	if left > 0 {
		t.log().Warn("TLS reports are given up", "day", name, "domains", left)
	}
	if t.Cache != nil {
		if err := t.Cache.Delete(ctx, "tlsrpt", name); err != nil && ctx.Err() == nil {
			t.log().Error("TLS results cannot be forgotten", "day", name, "err", err)
		}
	}
}
