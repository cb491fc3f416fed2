package quarantine

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestHundredAtOnce: a hundred who release the same messages at the same moment, the owner and administrators, deliver each once; the others are told that
// it is not there any more, or that somebody has the mailbox open.
func TestHundredAtOnce(t *testing.T) {
	store, err := maildir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	p := &Places{Store: store, Boxes: map[domains.Address]domains.Address{"junk@mail.test": ""}}
	const messages = 5
	for i := range messages {
		put(t, store, "junk@mail.test", Note("why", true, "alice@mail.test")+fmt.Sprintf("Subject: %d\r\n\r\nhers\r\n", i))
	}
	items, _, err := p.Own(t.Context(), "alice@mail.test", 100)
	if err != nil || len(items) != messages {
		t.Fatal(items, err)
	}
	var mu sync.Mutex
	released := make(map[string]int)
	var group sync.WaitGroup
	start := make(chan struct{})
	for i := range 100 {
		id := items[i%messages].ID
		group.Go(func() {
			<-start
			for {
				var got []Item
				var err error
				if i%2 == 0 {
					var one Item
					if one, err = p.Release(t.Context(), id, false); err == nil {
						got = []Item{one}
					}
				} else {
					got, err = p.ReleaseOwn(t.Context(), "alice@mail.test", []string{id})
				}
				mu.Lock()
				for _, item := range got {
					released[item.ID]++
				}
				mu.Unlock()
				switch {
				case errors.Is(err, mailstore.ErrLocked):
					continue // as who clicks again
				case err != nil && !errors.Is(err, ErrUnknown):
					t.Error(err)
				}
				return
			}
		})
	}
	close(start)
	group.Wait()
	for _, item := range items {
		if released[item.ID] != 1 {
			t.Errorf("%s was released %d times", item.ID, released[item.ID])
		}
	}
	if hers, left := len(all(t, store, "alice@mail.test")), len(all(t, store, "junk@mail.test")); hers != messages || left != 0 {
		t.Errorf("%d delivered, %d left", hers, left)
	}
}
