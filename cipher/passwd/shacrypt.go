package passwd

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"fmt"
	"hash"
	"strings"
)

// Limits of SHA-crypt. A million rounds take about half a second; passwords
// are as long as libxcrypt takes them, because the work grows with them.
const (
	maxSHACryptRounds   = 1_000_000
	maxSHACryptPassword = 512
)

// parseSHACrypt reads "$5$" and "$6$" strings:
//
//	$6$[rounds=<n>$]<salt, up to 16 characters>$<hash>
//
// as Ulrich Drepper's "Unix crypt using SHA-256 and SHA-512" (version 0.6)
// describes them.
func parseSHACrypt(stored string) (*form, error) {
	newHash, hashLen := sha256.New, 43
	if stored[1] == '6' {
		newHash, hashLen = sha512.New, 86
	}
	_, rest, _ := strings.Cut(stored[1:], "$")
	part := strings.Split(rest, "$")
	rounds := uint64(5000)
	if len(part) == 3 {
		n, ok := number(part[0], "rounds=", 999_999_999)
		if !ok || n < 1000 {
			return nil, fmt.Errorf("%w: SHA-crypt with a bad number of rounds", ErrForm)
		}
		if n > maxSHACryptRounds {
			return nil, fmt.Errorf("%w: SHA-crypt with %d rounds", ErrCost, n)
		}
		rounds, part = n, part[1:]
	}
	if len(part) != 2 || len(part[0]) > 16 || len(part[1]) != hashLen || strings.Trim(part[1], crypt64) != "" {
		return nil, fmt.Errorf("%w: damaged SHA-crypt string", ErrForm)
	}
	salt, want := part[0], part[1]
	check := func(password []byte) bool {
		// A longer one fits nothing, at the same cost: a quick answer would tell
		// that there is an account.
		got := shaCrypt(newHash, password[:min(len(password), maxSHACryptPassword)], []byte(salt), int(rounds))
		return subtle.ConstantTimeCompare(got, []byte(want)) == 1 && len(password) <= maxSHACryptPassword
	}
	return &form{check: check, cheap: rounds < 50_000}, nil
}

// shaCrypt computes the hash in its 64-letter form. The numbers in comments are
// the steps of Drepper's text.
func shaCrypt(newHash func() hash.Hash, password, salt []byte, rounds int) []byte {
	h := newHash()
	sum := func(parts ...[]byte) []byte {
		h.Reset()
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	b := sum(password, salt, password) // 4–8
	h.Reset()                          // 1–3, 9–12
	h.Write(password)
	h.Write(salt)
	h.Write(repeatTo(b, len(password)))
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			h.Write(b)
		} else {
			h.Write(password)
		}
	}
	a := h.Sum(nil)
	h.Reset() // 13–16
	for range password {
		h.Write(password)
	}
	p := repeatTo(h.Sum(nil), len(password))
	h.Reset() // 17–20
	for range 16 + int(a[0]) {
		h.Write(salt)
	}
	s := repeatTo(h.Sum(nil), len(salt))
	return cryptEncode(shaRounds(h, a, p, s, rounds))
}

// shaRounds is step 21, where the time goes.
func shaRounds(h hash.Hash, a, p, s []byte, rounds int) []byte {
	for i := range rounds {
		h.Reset()
		first, last := a, p
		if i%2 != 0 {
			first, last = p, a
		}
		h.Write(first)
		if i%3 != 0 {
			h.Write(s)
		}
		if i%7 != 0 {
			h.Write(p)
		}
		h.Write(last)
		a = h.Sum(a[:0])
	}
	return a
}

// repeatTo gives block over and over, cut to n bytes.
func repeatTo(block []byte, n int) []byte {
	out := make([]byte, 0, n+len(block))
	for len(out) < n {
		out = append(out, block...)
	}
	return out[:n]
}

// cryptEncode writes the digest in SHA-crypt's order (step 22): three bytes a
// third of the digest apart, and the next three begin one place on in each
// third, which rotates by one.
func cryptEncode(d []byte) []byte {
	var out []byte
	put := func(v uint, n int) {
		for range n {
			out = append(out, crypt64[v&63])
			v >>= 6
		}
	}
	third := len(d) / 3
	i, j, k := 0, third, 2*third
	for range third {
		put(uint(d[i])<<16|uint(d[j])<<8|uint(d[k]), 4)
		if len(d) == sha256.Size {
			i, j, k = k+1, i+1, j+1
		} else {
			i, j, k = j+1, k+1, i+1
		}
	}
	if len(d) == sha256.Size {
		put(uint(d[31])<<8|uint(d[30]), 3)
	} else {
		put(uint(d[63]), 2)
	}
	return out
}
