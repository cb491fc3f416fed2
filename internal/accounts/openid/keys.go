package openid

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// keysLast is after how long keys are fetched again, and keysServe for how long those that are there are used while that fails.
	keysLast, keysServe = time.Hour, 24 * time.Hour
	// between is how long nothing is fetched for the sake of a key that is not known: whoever makes tokens up names as many as he likes.
	between = 30 * time.Second
	// mostKeys bounds the set, and what a token without the name of a key may cost.
	mostKeys = 64
)

// keysFor returns the keys that may have signed a token: that of this name, or all for the algorithm where it has none.
func (p *Provider) keysFor(ctx context.Context, kid, algorithm string) ([]jose.JSONWebKey, error) {
	p.mu.Lock()
	age, tried := p.now().Sub(p.fetched), p.now().Sub(p.tried)
	fits := fitting(p.keys, kid, algorithm)
	none := p.keys == nil || age > keysServe
	p.mu.Unlock()
	switch {
	case !none && age <= keysLast && (len(fits) > 0 || kid == ""):
		return fits, nil
	case !none && tried < between && len(fits) > 0:
		return fits, nil
	case !none && tried < between:
		return nil, ErrLater
	}
	keys, err := p.fetchKeys(ctx)
	switch {
	case err == nil:
		return fitting(keys, kid, algorithm), nil
	case !none && len(fits) > 0: // the provider is away; what it has signed is still signed
		return fits, nil
	}
	return nil, err
}

// Serves reports whether tokens of known keys can be checked without a question to the provider.
func (p *Provider) Serves() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.c.Introspect && p.keys != nil && p.now().Sub(p.fetched) <= keysServe
}

// fitting are the keys of a name that are for an algorithm.
func fitting(keys []jose.JSONWebKey, kid, algorithm string) (fits []jose.JSONWebKey) {
	for _, k := range keys {
		if (kid == "" || k.KeyID == kid) && (k.Algorithm == "" || k.Algorithm == algorithm) {
			fits = append(fits, k)
		}
	}
	return fits
}

// fetchKeys asks for the keys; who comes while that is under way waits for the same answer.
func (p *Provider) fetchKeys(ctx context.Context) ([]jose.JSONWebKey, error) {
	p.mu.Lock()
	if waiting := p.asking; waiting != nil {
		before := p.fetched
		p.mu.Unlock()
		select {
		case <-waiting:
		case <-ctx.Done():
			return nil, &Unreachable{ctx.Err()}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.fetched.Equal(before) {
			return nil, &Unreachable{errors.New("it did not give its keys")}
		}
		return p.keys, nil
	}
	done := make(chan struct{})
	p.asking, p.tried = done, p.now()
	p.mu.Unlock()
	keys, err := p.askForKeys(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asking = nil; err == nil {
		p.keys, p.fetched = keys, p.now()
	} else {
		p.found = time.Time{} // they may have moved
	}
	close(done)
	return keys, err
}

func (p *Provider) askForKeys(ctx context.Context) ([]jose.JSONWebKey, error) {
	where, err := p.metadata(ctx)
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := p.get(ctx, where.Keys, &set); err != nil {
		return nil, err
	}
	keys := []jose.JSONWebKey{}
	for _, text := range set.Keys[:min(len(set.Keys), mostKeys)] {
		var k jose.JSONWebKey
		// One by one: of a set with a key of a kind that is not known, the others count.
		if json.Unmarshal(text, &k) == nil && usable(&k) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, &Unreachable{fmt.Errorf("%s has none of %d keys that could be used", where.Keys, len(set.Keys))}
	}
	return keys, nil
}

// usable: a public key for signatures, neither weak nor so large that each token costs much.
func usable(k *jose.JSONWebKey) bool {
	if !k.IsPublic() || !k.Valid() || k.Use != "" && k.Use != "sig" {
		return false
	}
	if r, ok := k.Key.(*rsa.PublicKey); ok {
		return r.N.BitLen() >= 2048 && r.N.BitLen() <= 8192
	}
	return true
}
