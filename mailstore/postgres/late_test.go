package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/postgres"
)

// TestMailboxHeld: who holds the row of one mailbox holds up its own deliveries alone. They are stored once it is let go, or refused for
// now when that takes too long.
func TestMailboxHeld(t *testing.T) {
	t.Parallel()
	db := peertest.Postgres(t)
	s := open(t, peertest.DSN(db))
	hasty := open(t, peertest.DSN(db), postgres.WithTimeout(time.Second))
	for _, user := range []string{ann, ben} {
		if err := deliver(t.Context(), s, "first\r\n", user); err != nil {
			t.Fatal(err)
		}
	}
	holder, err := pgx.Connect(t.Context(), peertest.DSN(db))
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(context.Background())
	if _, err := holder.Exec(t.Context(), `begin; select from postrider.box where name = 'ann@example.org' for update`); err != nil {
		t.Fatal(err)
	}
	held := make(chan error, 8)
	for i := range cap(held) {
		users := []string{ann, ben}
		go func() { held <- deliver(context.Background(), s, fmt.Sprint("held ", i, "\r\n"), users[:1+i%2]...) }()
	}
	for i := range 40 {
		if err := deliver(t.Context(), s, fmt.Sprint("beside ", i, "\r\n"), []string{ben, fmt.Sprint("new", i, "@example.org")}[i%2]); err != nil {
			t.Fatalf("to another mailbox: %v", err)
		}
		if len(held) > 0 {
			t.Fatalf("others waited for as long as the mailbox was held: %v", <-held)
		}
	}
	if err := deliver(t.Context(), hasty, "too late\r\n", ann, ben); !errors.Is(err, mailstore.ErrUnavailable) || errors.Is(err, mailstore.ErrUncertain) {
		t.Errorf("held for too long: %v", err)
	}
	if _, err := holder.Exec(t.Context(), `commit`); err != nil {
		t.Fatal(err)
	}
	for range cap(held) {
		if err := <-held; err != nil {
			t.Errorf("let go: %v", err)
		}
	}
	for user, n := range map[string]int{ann: 8, ben: 4} {
		got := texts(t, s, user)
		for i := range 8 {
			if text := fmt.Sprint("held ", i, "\r\n"); (n == 8 || i%2 == 1) && got[text] != 1 {
				t.Errorf("%s has %q %d times", user, text, got[text])
			}
		}
		if got["too late\r\n"] != 0 {
			t.Errorf("%s has what was refused", user)
		}
	}
}
