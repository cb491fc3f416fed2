package accounts

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"maps"
	"net/url"
	"sync"
	"time"
)

// Codes of second factors as all programs for them make them (RFC 6238 §1.2, RFC 4226 §5.3): six digits of
// HMAC-SHA-1, each for half a minute.
const (
	codeStep   = 30 * time.Second
	codeDigits = 1_000_000
	// codeSlack is how many steps a clock may be ahead or behind (RFC 6238 §5.2), and codeNear
	// how many it is looked at how wrong one is.
	codeSlack, codeNear = 1, 10
)

// NewSecondFactor makes the secret of a second factor, of as many octets as RFC 4226 §4 recommends.
func NewSecondFactor() []byte {
	secret := make([]byte, 20)
	rand.Read(secret)
	return secret
}

// SecondFactorText is a secret as people type it, and SecondFactorURI as programs read it from a QR code.
func SecondFactorText(secret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
}

// SecondFactorURI is a secret as programs for second factors read it.
func SecondFactorURI(host, name string, secret []byte) string {
	u := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + host + ":" + name}
	u.RawQuery = url.Values{"secret": {SecondFactorText(secret)}, "issuer": {host}}.Encode()
	return u.String()
}

// Code is the code of a secret at a time.
func Code(secret []byte, at time.Time) string {
	return codeAt(secret, at.Unix()/int64(codeStep/time.Second))
}

func codeAt(secret []byte, step int64) string {
	mac := hmac.New(sha1.New, secret)
	binary.Write(mac, binary.BigEndian, step)
	sum := mac.Sum(nil)
	from := sum[len(sum)-1] & 0xf
	n := binary.BigEndian.Uint32(sum[from:]) & 0x7fffffff
	return fmt.Sprintf("%06d", n%codeDigits)
}

// codes remembers which code each administrator has used last: none counts twice, and none that is
// older.
type codes struct {
	mu   sync.Mutex
	used map[string]int64 // the step
	told map[early]bool
	keep func() error // puts what is remembered on stable storage; nil: nobody does
}

// early is a code that somebody was told of before it counts: it does not then, for it may have been guessed.
type early struct {
	name string
	step int64
}

// tell remembers that somebody was told, for as long as it matters.
func (c *codes) tell(name string, step, current int64) {
	if c.told == nil {
		c.told = make(map[early]bool)
	}
	maps.DeleteFunc(c.told, func(e early, _ bool) bool { return e.step < current-codeSlack })
	c.told[early{name, step}] = true
}

// KeepCodes has keep called before a code lets anybody in, so that it counts once over a restart as well: it is to write
// down what Memory gives. It is to be set before anybody can log in.
func (c *Credentials) KeepCodes(keep func() error) { c.codes.keep = keep }

// memory is what of it is to survive a restart. A code that is long over is none.
func (c *codes) memory(now time.Time) (all []remembered) {
	c.mu.Lock()
	defer c.mu.Unlock()
	over := now.Unix()/int64(codeStep/time.Second) - codeNear
	for name, step := range c.used {
		if step >= over {
			all = append(all, remembered{Admin: name, Step: step})
		}
	}
	return all
}

// recall takes up what memory gave. What is far ahead was remembered while the clock was wrong.
func (c *codes) recall(all []remembered, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ahead := now.Unix()/int64(codeStep/time.Second) + codeNear
	for _, r := range all {
		if r.Admin == "" || r.Step <= c.used[r.Admin] || r.Step > ahead {
			continue
		}
		if c.used == nil {
			c.used = make(map[string]int64)
		}
		c.used[r.Admin] = r.Step
	}
}

// take reports whether a code is right and has not been used. off is how wrong a clock must be for
// a code that would be right at another time and has not been used either.
func (c *codes) take(name string, secret []byte, code string, now time.Time) (ok bool, off time.Duration) {
	if len(code) != 6 {
		return false, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	current := now.Unix() / int64(codeStep/time.Second)
	for d := int64(-codeNear); d <= codeNear; d++ {
		step := current + d
		if subtle.ConstantTimeCompare([]byte(codeAt(secret, step)), []byte(code)) != 1 {
			continue
		}
		switch {
		case step <= c.used[name]:
		case d < -codeSlack || d > codeSlack:
			if off = time.Duration(d) * codeStep; d > 0 {
				c.tell(name, step, current)
			}
		case c.told[early{name, step}]:
		default:
			if c.used == nil {
				c.used = make(map[string]int64)
			}
			c.used[name] = step
			return true, 0
		}
	}
	return false, off
}
