package accounts

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// models are the accounts that names without an account imitate. Accounts that
// were taken over from elsewhere may be stored in forms of different cost, and
// their SCRAM keys have other iterations and salts than ours: a name that always
// cost and looked like our own would show itself to be nobody's. So each imitates
// some account, always the same one, as long as there is that. Of each kind there are
// as many names as accounts, in proportion: an answer that is rare among accounts is as
// rare among names that are nobody's, and tells nothing.
type models []model

// model is an account at one of its places on a ring. A name imitates the next one
// from its own place on, so that an account more or less changes few.
type model struct {
	place    uint64
	password string
	keys     *keys
}

func newModels(dir *Directory, all map[domains.Address]*keys, d *sasl.Decoy, stored func(domains.Address, *conf.Account) string) models {
	var ring models
	// With a place each, some accounts would have many times the names of others.
	places := max(1, ringPlaces/max(1, len(dir.Accounts())))
	for address, account := range dir.Accounts() {
		if canLogIn(account) {
			password := stored(address, account)
			for i := range places {
				ring = append(ring, model{placeOf(d, address.String()+" "+strconv.Itoa(i)), password, all[address]})
			}
		}
	}
	slices.SortFunc(ring, func(a, b model) int { return cmp.Compare(a.place, b.place) })
	return ring
}

// ringPlaces is how many places accounts have on the ring at least, all together.
const ringPlaces = 4096

// placeOf is where a name stands, which nobody can tell without the server's key.
func placeOf(d *sasl.Decoy, name string) uint64 {
	return binary.BigEndian.Uint64(d.Secret(sasl.APOP, "place of "+name).APOP)
}

func (r models) of(d *sasl.Decoy, name domains.Address) (model, bool) {
	if len(r) == 0 {
		return model{}, false
	}
	i, _ := slices.BinarySearchFunc(r, placeOf(d, name.String()), func(m model, place uint64) int { return cmp.Compare(m.place, place) })
	return r[i%len(r)], true
}

// password is the stored password whose cost a name imitates, or empty.
func (r models) password(d *sasl.Decoy, name domains.Address) string {
	m, _ := r.of(d, name)
	return m.password
}

// secret is the SCRAM secret whose looks a name imitates, if there is one.
func (r models) secret(d *sasl.Decoy, name domains.Address) sasl.Secret {
	m, ok := r.of(d, name)
	if !ok || m.keys == nil {
		return sasl.Secret{}
	}
	return sasl.Secret{SCRAM: m.keys.scram.Load()}
}
