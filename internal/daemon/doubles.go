package daemon

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// doubles are the accounts that names without an account take after. Accounts
// that were taken over from elsewhere may be stored in forms of different cost,
// and their SCRAM keys have other iterations and salts than ours: a name that
// always cost and looked like our own would show itself to be nobody's. So each
// takes after some account, always the same one, as long as there is that.
type doubles []double

// double is an account at its place on a ring. A name takes after the next one
// from its own place on, so that an account more or less changes few.
type double struct {
	place    uint64
	password string
	secrets  *secrets
}

func newDoubles(c *credentials) doubles {
	var ring doubles
	for address, account := range c.dir.accounts {
		if account.Password != "" && !account.Disabled {
			ring = append(ring, double{placeOf(c.decoy, address), string(account.Password), c.secrets[address]})
		}
	}
	slices.SortFunc(ring, func(a, b double) int { return cmp.Compare(a.place, b.place) })
	return ring
}

// placeOf is where a name stands, which nobody can tell without the server's key.
func placeOf(d *sasl.Decoy, name string) uint64 {
	return binary.BigEndian.Uint64(d.Secret(sasl.APOP, "place of "+name).APOP)
}

func (r doubles) of(d *sasl.Decoy, name string) (double, bool) {
	if len(r) == 0 {
		return double{}, false
	}
	i, _ := slices.BinarySearchFunc(r, placeOf(d, name), func(x double, place uint64) int { return cmp.Compare(x.place, place) })
	return r[i%len(r)], true
}

// password is the stored password whose cost a name imitates, or empty.
func (r doubles) password(d *sasl.Decoy, name string) string {
	double, _ := r.of(d, name)
	return double.password
}

// secret is the SCRAM secret whose looks a name imitates, if there is one.
func (r doubles) secret(d *sasl.Decoy, name string) sasl.Secret {
	double, ok := r.of(d, name)
	if !ok || double.secrets == nil {
		return sasl.Secret{}
	}
	return sasl.Secret{SCRAM: double.secrets.scram}
}
