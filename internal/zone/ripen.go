package zone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Ripening leads MTA-STS policies from testing to enforce by themselves: after a week in which it was found, day after
// day, that others can fetch the policy and deliver by it, and in which nobody told of a failure. It never leads one back for
// a fault, which is what somebody would bring about who wants mail in the clear: it says so in Problems. Only a policy for other hosts begins anew.
//
// Its fields are set before its first method is called; its methods may be called concurrently.
type Ripening struct {
	// File is where the modes stand, and Write puts it on stable storage.
	File  string
	Write func(ctx context.Context, name string, text []byte) error
	// Plans are those of the domains whose policies ripen, as far as their policies are made of it.
	Plans func() []*Plan
	// Check says what is wrong with a policy for those who go by it; "": nothing. An error is that it cannot
	// be found out now.
	Check func(ctx context.Context, p *Plan) (trouble string, err error)
	// Failures are the last that others have told of since a time, by domain.
	Failures func(since time.Time) (map[string]Told, error)
	// Changed is called when modes have changed.
	Changed func()
	Log     *slog.Logger

	mu   sync.Mutex
	ripe map[string]*ripe
	next map[string]time.Time // when a domain is looked at again; zero: by what ripe says
}

// Told is what another host has told of a domain.
type Told struct {
	At   time.Time // it came
	Text string
}

// ripe is how far a policy has got.
type ripe struct {
	Mode    STSMode   `json:"mode"`
	Hosts   string    `json:"hosts"`             // that it names
	Since   time.Time `json:"since,omitzero"`    // nothing has been wrong
	Looked  time.Time `json:"looked,omitzero"`   // when nothing was wrong last
	Told    time.Time `json:"told"`              // failures until then are known
	Trouble string    `json:"trouble,omitempty"` // what is wrong
}

const (
	ripens    = 7 * 24 * time.Hour
	lookAgain = 24 * time.Hour // at what was right
	lookSoon  = time.Hour      // at what was not
	// longestGap between two looks still makes a week of them.
	longestGap = 48 * time.Hour
	// longestCheck is how long one domain is looked at.
	longestCheck = time.Minute
)

// ReadModes reads the modes that policies have ripened to. Those that are not there are STSTesting.
func ReadModes(file string) (map[string]STSMode, error) {
	kept, err := readRipe(file)
	modes := make(map[string]STSMode)
	for domain, r := range kept {
		modes[domain] = r.Mode
	}
	return modes, err
}

func readRipe(file string) (map[string]*ripe, error) {
	kept := make(map[string]*ripe)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return kept, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	for domain, r := range kept {
		if r == nil || r.Mode != STSTesting && r.Mode != STSEnforce {
			delete(kept, domain)
		}
	}
	if err != nil {
		return kept, fmt.Errorf("modes of MTA-STS policies: %w", err)
	}
	return kept, nil
}

// Run looks at each policy once a day, and at one that something is wrong with once an hour, until ctx ends.
func (r *Ripening) Run(ctx context.Context) {
	tick := time.NewTicker(lookSoon)
	defer tick.Stop()
	for {
		if err := r.look(ctx); err != nil && ctx.Err() == nil {
			r.Log.Error("MTA-STS policies do not ripen", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look looks at what is due, and writes down what comes of it.
func (r *Ripening) look(ctx context.Context) error {
	due, since, err := r.due(time.Now())
	if err != nil || len(due) == 0 {
		return err
	}
	told, err := r.Failures(since)
	if err != nil {
		return err
	}
	changed := false
	for _, p := range due {
		checking, stop := context.WithTimeout(ctx, longestCheck)
		trouble, err := r.Check(checking, p)
		stop()
		if ctx.Err() != nil {
			return nil
		}
		changed = r.conclude(p, trouble, err, told[p.Domain]) || changed
	}
	r.mu.Lock()
	text, err := json.MarshalIndent(r.ripe, "", "\t")
	r.mu.Unlock()
	if err == nil {
		err = r.Write(ctx, r.File, append(text, '\n'))
	}
	switch {
	case err != nil: // what stands there counts
		r.mu.Lock()
		r.ripe = nil
		r.mu.Unlock()
	case changed:
		r.Changed()
	}
	return err
}

// due are the plans to look at now, each with its mode, and since when failures are of interest to one of them.
func (r *Ripening) due(now time.Time) (due []*Plan, since time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	plans := r.Plans()
	if r.ripe == nil {
		if r.ripe, err = readRipe(r.File); err != nil {
			r.ripe = nil
			return nil, since, err
		}
		r.next = make(map[string]time.Time)
	}
	since = now
	for _, p := range plans {
		hosts := strings.Join(p.exchangers(), " ")
		state := r.ripe[p.Domain]
		if state == nil || state.Hosts != hosts {
			state = &ripe{Mode: STSTesting, Hosts: hosts, Told: now}
			r.ripe[p.Domain] = state
			delete(r.next, p.Domain)
		}
		next := r.next[p.Domain]
		if next.IsZero() && state.Trouble == "" {
			next = state.Looked.Add(lookAgain)
		}
		if now.Before(next) {
			continue
		}
		if state.Told.Before(since) {
			since = state.Told
		}
		p.STS = state.Mode
		due = append(due, p)
	}
	if len(due) > 0 { // it is written down, without those that are no longer here
		maps.DeleteFunc(r.ripe, func(domain string, _ *ripe) bool {
			return !slices.ContainsFunc(plans, func(p *Plan) bool { return p.Domain == domain })
		})
	}
	return due, since, nil
}

// conclude draws the conclusion of a look, and reports whether the mode has changed.
func (r *Ripening) conclude(p *Plan, trouble string, err error, told Told) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, state := time.Now(), r.ripe[p.Domain]
	r.next[p.Domain] = now.Add(lookSoon)
	if told.At.After(state.Told) {
		state.Told = told.At
		if trouble == "" {
			trouble, r.next[p.Domain] = told.Text, now.Add(lookAgain)
		}
	}
	switch {
	case trouble != "":
		if state.Trouble != trouble {
			r.Log.Warn("others cannot go by the MTA-STS policy", "domain", p.Domain, "mode", string(state.Mode), "problem", trouble)
		}
		state.Trouble, state.Since = trouble, time.Time{}
		return false
	case err != nil: // it may be as it was
		r.Log.Info("whether others can go by the MTA-STS policy cannot be found out now", "domain", p.Domain, "err", err)
		return false
	}
	if state.Since.IsZero() || now.Sub(state.Looked) > longestGap {
		state.Since = now
	}
	state.Looked, state.Trouble, r.next[p.Domain] = now, "", now.Add(lookAgain)
	if state.Mode == STSEnforce || now.Sub(state.Since) < ripens {
		return false
	}
	state.Mode = STSEnforce
	p.STS = STSEnforce
	r.Log.Info("MTA-STS policy is enforced from now on; the DNS is to have its new id", "domain", p.Domain, "id", p.policyID())
	return true
}

// Problems says what is wrong with policies, a sentence for each domain.
func (r *Ripening) Problems() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for domain, state := range r.ripe {
		if state.Trouble != "" {
			all = append(all, fmt.Sprintf("the MTA-STS policy of %s (%s): %s", domain, state.Mode, state.Trouble))
		}
	}
	slices.Sort(all)
	return all
}
