package sasl

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors of choosing a mechanism.
var (
	// ErrUnknownMechanism: there is no such mechanism, or it is refused.
	ErrUnknownMechanism = errors.New("sasl: unknown mechanism")
	// ErrNoMechanism: none of the server's mechanisms can be used by this client.
	ErrNoMechanism = errors.New("sasl: no usable mechanism")
)

// Mechanisms gives the server side of every mechanism, strongest first.
func Mechanisms() []Mechanism {
	return []Mechanism{
		externalServer(),
		scramSHA256PlusServer(),
		scramSHA256Server(),
		scramSHA1PlusServer(),
		scramSHA1Server(),
		oauthBearerServer(),
		xoauth2Server(),
		cramMD5Server(),
		plainServer(),
		loginServer(),
	}
}

// Offered gives those of the mechanisms (all of Mechanisms if none are given)
// that should be announced to this peer now, in their order: c can serve them,
// they fit the connection, and those that send a password in clear only under
// TLS unless cleartextOK. It notes their names in peer.Announced, which SCRAM
// needs to notice a downgrade (RFC 5802 §6).
func Offered(c Credentials, peer *Peer, cleartextOK bool, among ...Mechanism) []Mechanism {
	if len(among) == 0 {
		among = Mechanisms()
	}
	var offered []Mechanism
	names := []string{} // not nil: nothing is an answer too
	for _, m := range among {
		switch {
		case c == nil, m.Usable != nil && !m.Usable(c):
		case m.NeedsTLS && peer.TLS == nil:
		case m.Cleartext && peer.TLS == nil && !cleartextOK:
		case m.Fits != nil && !m.Fits(peer):
		default:
			offered = append(offered, m)
			names = append(names, m.Name)
		}
	}
	peer.Announced = names
	return offered
}

// Find gives the mechanism of that name, in any case. Otherwise the error is
// ErrUnknownMechanism, and says why where the mechanism is refused on purpose.
func Find(among []Mechanism, name string) (Mechanism, error) {
	i := slices.IndexFunc(among, func(m Mechanism) bool { return strings.EqualFold(m.Name, name) })
	if i >= 0 {
		return among[i], nil
	}
	return Mechanism{}, refused(name)
}

// IsCleartext reports whether the mechanism of that name, in any case, sends the password
// itself or what is as good as one, so that a client should use it under TLS only. Of a
// mechanism that is not among Mechanisms it says no.
func IsCleartext(name string) bool {
	m, err := Find(Mechanisms(), name)
	return err == nil && m.Cleartext
}

// Named gives the mechanisms of these names in the order given, for a
// configuration. The error names the first that is unknown, or is refused
// (DIGEST-MD5, NTLM) and why.
func Named(names ...string) ([]Mechanism, error) {
	all := Mechanisms()
	var named []Mechanism
	for _, name := range names {
		m, err := Find(all, name)
		if err != nil {
			return nil, fmt.Errorf("mechanism %q: %w", name, err)
		}
		named = append(named, m)
	}
	return named, nil
}

func offers(kind Kind) func(Credentials) bool {
	return func(c Credentials) bool { return c.Offers(kind) }
}
