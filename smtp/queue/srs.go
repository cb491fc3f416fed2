package queue

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
)

// SRS is the Sender Rewriting Scheme, for mail that an alias forwards to
// another host: the sender becomes an address of ours, so that SPF holds and a
// bounce comes back to us, from where it goes on to the sender.
//
//	ann@example.org  →  SRS0=HHHHHHHH=TT=example.org=ann@forward.example
//
// HHHHHHHH is a keyed hash, so that nobody can have us send mail to addresses
// of his choice; TT is the day, and makes the address wither.
type SRS struct {
	// Domain is ours: mail for it comes here.
	Domain domains.Name
	// Key makes the hashes; at least 16 octets. OldKeys are still believed.
	Key     []byte
	OldKeys [][]byte
	// MaxAge is how long bounces are taken; 21 days where zero.
	MaxAge time.Duration
}

// Errors of SRS.Reverse.
var (
	// ErrNotSRS: the address is no SRS address of our domain.
	ErrNotSRS = errors.New("queue: not an SRS address")
	// ErrForged: the hash is not ours.
	ErrForged = errors.New("queue: forged SRS address")
	// ErrStale: the address is too old.
	ErrStale = errors.New("queue: SRS address is too old")
)

const (
	srsHash   = 8 // characters: 40 bits
	srsMaxAge = 21 * 24 * time.Hour
	srsCycle  = 1 << 10 // days that two characters can tell apart
)

// Forward rewrites the sender of a message that leaves at now. The null sender
// and addresses of our own domain stay as they are. An address that was
// rewritten by another host before keeps to two steps however many hosts
// forward it (SRS1), for bounces need to go back to the first one only.
func (s *SRS) Forward(from smtp.Path, now time.Time) (smtp.Path, error) {
	if len(s.Key) < 16 {
		return smtp.Path{}, errors.New("queue: SRS key is shorter than 16 octets")
	}
	local, domain := from.Local, from.Domain
	if from.IsNull() || from.DomainName() == s.Domain {
		return from, nil
	}
	tag := ""
	if len(local) > 5 && (local[4] == '=' || local[4] == '-' || local[4] == '+') {
		tag = strings.ToUpper(local[:4])
	}
	switch tag {
	case "SRS0":
		return s.sign("SRS1", domain+"="+local[4:]), nil
	case "SRS1":
		if _, rest, ok := strings.Cut(local[5:], "="); ok {
			return s.sign("SRS1", rest), nil
		}
	}
	return s.sign("SRS0", srsDay(now)+"="+domain+"="+local), nil
}

func (s *SRS) sign(tag, rest string) smtp.Path {
	return smtp.Path{Local: tag + "=" + s.hash(s.Key, rest) + "=" + rest, Domain: s.Domain.String()}
}

// Reverse returns the path a bounce to an SRS address goes on to. The local part
// of the address is to be as it came: that of the sender may tell cases apart.
func (s *SRS) Reverse(address smtp.Path, now time.Time) (smtp.Path, error) {
	local := address.Local
	if address.DomainName() != s.Domain || len(local) < 5 {
		return smtp.Path{}, ErrNotSRS
	}
	tag := strings.ToUpper(local[:4])
	if tag != "SRS0" && tag != "SRS1" || !strings.ContainsRune("=-+", rune(local[4])) {
		return smtp.Path{}, ErrNotSRS
	}
	hash, rest, ok := strings.Cut(local[5:], "=")
	if !ok {
		return smtp.Path{}, ErrNotSRS
	}
	if !s.ours(hash, rest) {
		return smtp.Path{}, ErrForged
	}
	if tag == "SRS1" {
		host, opaque, ok := strings.Cut(rest, "=")
		if !ok || host == "" || opaque == "" {
			return smtp.Path{}, ErrNotSRS
		}
		return smtp.Path{Local: "SRS0" + opaque, Domain: host}, nil
	}
	day, rest, ok := strings.Cut(rest, "=")
	host, user, ok2 := strings.Cut(rest, "=")
	if !ok || !ok2 || host == "" || user == "" {
		return smtp.Path{}, ErrNotSRS
	}
	if !s.timely(day, now) {
		return smtp.Path{}, ErrStale
	}
	return smtp.Path{Local: user, Domain: host}, nil
}

func (s *SRS) ours(hash, rest string) bool {
	for _, key := range append([][]byte{s.Key}, s.OldKeys...) {
		// Some hosts on the way change the case of local parts.
		if len(key) >= 16 && hmac.Equal([]byte(strings.ToLower(hash)), []byte(s.hash(key, rest))) {
			return true
		}
	}
	return false
}

var srsEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func (s *SRS) hash(key []byte, rest string) string {
	m := hmac.New(sha256.New, key)
	fmt.Fprint(m, "srs ", strings.ToLower(rest))
	return srsEncoding.EncodeToString(m.Sum(nil))[:srsHash]
}

const srsDigits = "abcdefghijklmnopqrstuvwxyz234567"

func srsDay(t time.Time) string {
	day := t.Unix() / 86400 % srsCycle
	return string([]byte{srsDigits[day>>5], srsDigits[day&31]})
}

func (s *SRS) timely(day string, now time.Time) bool {
	if len(day) != 2 {
		return false
	}
	day = strings.ToLower(day)
	hi, lo := strings.IndexByte(srsDigits, day[0]), strings.IndexByte(srsDigits, day[1])
	if hi < 0 || lo < 0 {
		return false
	}
	most := s.MaxAge
	if most <= 0 {
		most = srsMaxAge
	}
	age := (now.Unix()/86400 - int64(hi<<5|lo)) % srsCycle
	if age < 0 {
		age += srsCycle
	}
	return time.Duration(age)*24*time.Hour <= most || age == srsCycle-1 // a clock a day ahead
}
