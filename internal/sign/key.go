package sign

import (
	"crypto"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/dkim"
)

// Phase is where a key is in its life.
type Phase string

const (
	// Announced: the DNS is to show it. Nothing is signed with it yet.
	Announced Phase = "announced"
	// Signing: it signs.
	Signing Phase = "signing"
	// Retired: it signs no more. The DNS must show it as long as mail signed with it
	// may be under way.
	Retired Phase = "retired"
	// Revoked: the DNS must show that it is not to be believed.
	Revoked Phase = "revoked"
	// Gone: nobody needs its record. Its selector is never used again.
	Gone Phase = "gone"
)

// Key is a signing key of a domain, without its private part.
type Key struct {
	Domain   domains.Name `json:"domain"`
	Selector string       `json:"selector"`
	Type     string       `json:"type"`               // "rsa" or "ed25519"
	Imported bool         `json:"imported,omitempty"` // it was another server's before
	Phase    Phase        `json:"phase"`
	Since    time.Time    `json:"since"` // it is in this phase
	// Public is the TXT record that shows it.
	Public string `json:"public"`
	// Shown is since when all servers of the zone that answer have been seen to show
	// it; zero: they do not, or it is not known.
	Shown time.Time `json:"shown,omitzero"`
	// Trouble is why it is not used, or is not seen, in words for an operator.
	Trouble string `json:"trouble,omitempty"`

	private crypto.Signer // read while it signs
	unread  string        // why it could not be
}

// Name is where its record stands in the DNS, with a dot at the end.
func (k *Key) Name() string { return dkim.RecordName(k.Selector, k.Domain.String()) }

// Record is what is to stand there; empty: nothing needs to.
func (k *Key) Record() string {
	switch k.Phase {
	case Revoked:
		return "v=DKIM1; p="
	case Gone:
		return ""
	}
	return k.Public
}

// enter puts the key into a phase.
func (k *Key) enter(p Phase, now time.Time) {
	k.Phase, k.Since, k.Trouble = p, now, ""
	if p != Signing {
		k.private = nil
	}
}
