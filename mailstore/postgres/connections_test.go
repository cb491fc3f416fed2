package postgres_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore/postgres"
)

// TestConnections: a store has as many connections as it was said and no more, however much is done at once.
func TestConnections(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	for _, most := range []int{5, 12} {
		name := fmt.Sprint("with", most)
		s := open(t, peertest.DSN(db)+"&application_name="+name, postgres.WithConnections(most), postgres.WithSchema(name))
		var wg sync.WaitGroup
		for w := range 40 {
			wg.Go(func() {
				for i := range 5 {
					user := fmt.Sprintf("user%d@example.org", w)
					if err := deliver(t.Context(), s, largeText(i*50_000), user); err != nil {
						t.Error(err)
					}
					if n := len(texts(t, s, user)); n != i+1 {
						t.Errorf("%d messages of %d", n, i+1)
					}
				}
			})
		}
		wg.Wait()
		// All are kept for a while: what there is now is what there was at most.
		if n := answer(t, peertest.DSN(db), "select count(*) from pg_stat_activity where application_name = '"+name+"'"); n > most || n < 4 {
			t.Errorf("%d connections of %d", n, most)
		}
		s.Close()
	}
}
