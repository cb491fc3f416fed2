package maildir_test

import (
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/mailstore/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, dir string) mailstore.Store {
		return open(t, dir)
	})
	storetest.RunQuota(t, func(t *testing.T, dir string, limit func(string) int64) mailstore.Store {
		return open(t, dir, maildir.WithQuota(func(user string) maildir.Quota { return maildir.Quota{Octets: limit(user)} }))
	})
}

// open opens a store that may fill the disk and that the test closes, or
// leaves to the end of the test.
func open(t testing.TB, dir string, opts ...maildir.Option) *maildir.Store {
	t.Helper()
	s, err := maildir.Open(dir, append([]maildir.Option{maildir.WithReserve(0)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
