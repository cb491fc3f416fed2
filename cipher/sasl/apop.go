package sasl

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// APOPTimestamp gives the timestamp of a POP3 greeting (RFC 1939 §7),
// "<…@hostname>", with 128 random bits in it: one that could be foreseen would
// let an attacker collect answers ahead.
func APOPTimestamp(hostname string) string {
	for _, r := range hostname {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune("<>@", r) {
			hostname = ""
			break
		}
	}
	if hostname == "" {
		hostname = "localhost"
	}
	var random [16]byte
	rand.Read(random[:])
	return "<" + hex.EncodeToString(random[:]) + "@" + hostname + ">"
}

// APOPDigest is the answer to timestamp: 32 hex digits.
func APOPDigest(timestamp string, secret []byte) string {
	h := md5.New()
	h.Write([]byte(timestamp))
	h.Write(secret)
	return hex.EncodeToString(h.Sum(nil))
}

// VerifyAPOP checks the answer in an APOP command, which a Guard is asked about
// before. It takes the same time wherever a wrong digest differs, and for an
// account that does not exist. The error is ErrDenied, ErrMalformed, or the
// Credentials' own.
func VerifyAPOP(ctx context.Context, c Credentials, timestamp, user, digest string) (account string, err error) {
	user, err = prepareName(user)
	if err != nil {
		return "", err
	}
	got, err := hex.DecodeString(digest)
	if err != nil || len(got) != md5.Size {
		return "", ErrMalformed
	}
	secret, account, err := c.Secret(ctx, APOP, user)
	if err != nil {
		return "", err
	}
	err = guess(ctx, c, user, func() error {
		want, _ := hex.DecodeString(APOPDigest(timestamp, secret.APOP))
		if !hmac.Equal(got, want) || len(secret.APOP) == 0 || timestamp == "" {
			return ErrDenied
		}
		secret.proven()
		return nil
	})
	if err != nil {
		return "", err
	}
	return account, nil
}
