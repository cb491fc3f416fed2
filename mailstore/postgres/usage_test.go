package postgres

import (
	"maps"
	"slices"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/database"
)

// TestRefusedTakesNoRoom: a message that a full mailbox refuses takes nothing of its domain's room from those committed beside it.
func TestRefusedTakesNoRoom(t *testing.T) {
	s := &Store{
		boxQuota: func(user string) mailstore.Quota {
			if user == "ben@example.org" {
				return mailstore.Quota{Octets: 1}
			}
			return mailstore.Quota{}
		},
		domainQuota: func(string) mailstore.Quota { return mailstore.Quota{Octets: 100} },
	}
	boxes := map[string]*boxRow{"ann@example.org": {}, "ben@example.org": {}}
	use := new(mailstore.Usage)
	c := &commit{d: &delivery{text: database.Text{Octets: 60}}, domains: map[string]*mailstore.Usage{"example.org": use}, names: slices.Sorted(maps.Keys(boxes))}
	if full := s.full(c, boxes); len(full) != 1 || full["ben@example.org"] == nil {
		t.Fatalf("%v", full)
	}
	c.names = []string{"ann@example.org"}
	if full := s.full(c, boxes); len(full) != 0 || *use != (mailstore.Usage{Messages: 1, Octets: 60}) {
		t.Errorf("%v, and the domain holds %+v", full, *use)
	}
}
