package sasl

import (
	"crypto"
	"crypto/pbkdf2"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// Choose picks the strongest of the mechanisms a server offers (names in any
// case) that works with a password. cs is the connection's TLS state, nil in
// the clear.
//
// SCRAM comes first, bound to the channel where both ends can be. Then, if the
// server's certificate was verified, PLAIN and LOGIN before CRAM-MD5, as they
// ask the server to keep less; otherwise CRAM-MD5 first, since it does not give
// the password away. In the clear PLAIN and LOGIN are never chosen: the error
// is ErrNoMechanism, and says so.
func Choose(offered []string, user, password string, cs *tls.ConnectionState) (Client, error) {
	has := func(name string) bool {
		return slices.ContainsFunc(offered, func(o string) bool { return strings.EqualFold(o, name) })
	}
	for _, base := range []string{"SCRAM-SHA-256", "SCRAM-SHA-1"} {
		plus := has(base + "-PLUS")
		if plus {
			if c, err := ScramClient(base+"-PLUS", "", user, password, cs); err == nil {
				return c, nil
			}
		}
		if has(base) {
			if plus {
				// We saw it offered and cannot bind: that is "n", not "y".
				return ScramClient(base, "", user, password, nil)
			}
			return ScramClient(base, "", user, password, cs)
		}
	}
	order := []string{"CRAM-MD5"}
	switch {
	case cs != nil && len(cs.VerifiedChains) > 0:
		order = []string{"PLAIN", "LOGIN", "CRAM-MD5"}
	case cs != nil:
		order = []string{"CRAM-MD5", "PLAIN", "LOGIN"}
	}
	for _, name := range order {
		if !has(name) {
			continue
		}
		switch name {
		case "PLAIN":
			return PlainClient("", user, password), nil
		case "LOGIN":
			return LoginClient(user, password), nil
		default:
			return CRAMMD5Client(user, password), nil
		}
	}
	if cs == nil && (has("PLAIN") || has("LOGIN")) {
		return nil, fmt.Errorf("%w: the server takes passwords in clear only, and the connection is not encrypted", ErrNoMechanism)
	}
	return nil, fmt.Errorf("%w among %q", ErrNoMechanism, offered)
}

// saltedPassword is RFC 5802 §3's Hi over the prepared password.
func saltedPassword(h crypto.Hash, password, salt []byte, iterations int) ([]byte, error) {
	salted, err := pbkdf2.Key(h.New, string(SASLprep(password)), salt, iterations, h.Size())
	if err != nil {
		return nil, fmt.Errorf("sasl: derive key: %w", err)
	}
	return salted, nil
}
