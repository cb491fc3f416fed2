package pop3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/pop3"
)

// A store of package mailstore behind POP3: its maildrops are Drops as they
// are. One that is open already is [IN-USE]. Fetch all there is, and remove it.
func Example_mailstore() {
	dir, err := os.MkdirTemp("", "mail")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := maildir.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	ctx := context.Background()
	deliver(ctx, store, "ann@example.com", "Subject: hello\r\n\r\nHello Ann.\r\n")

	srv := &pop3.Server{
		Backend: pop3.BackendFunc(func(ctx context.Context, _ *pop3.Session, account string) (pop3.Drop, error) {
			box, err := store.Open(ctx, account)
			if errors.Is(err, mailstore.ErrLocked) {
				return nil, pop3.ErrInUse
			}
			return box, err
		}),
		Credentials:   sasl.PasswordFunc(func(user, password, remoteAddr string) error { return nil }), // everybody, for this example
		CleartextAuth: true,
		Log:           slog.New(slog.DiscardHandler),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(l)
	defer srv.Close()

	d := pop3.Dialer{User: "ann@example.com", Password: "secret"}
	c, err := d.Dial(ctx, l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close() // without Quit nothing is removed
	_, err = d.Dial(ctx, l.Addr().String())
	fmt.Println("a second session is refused:", errors.Is(err, pop3.ErrInUse))

	all, err := c.List(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range all {
		text, err := c.Retr(ctx, m.Number)
		if err != nil {
			log.Fatal(err)
		}
		b, err := io.ReadAll(text) // nil: complete
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d octets: %q\n", m.Size, b)
		if err := c.Dele(ctx, m.Number); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("removed:", c.Quit(ctx) == nil)
	// Output:
	// a second session is refused: true
	// 30 octets: "Subject: hello\r\n\r\nHello Ann.\r\n"
	// removed: true
}

func deliver(ctx context.Context, store mailstore.Store, user, text string) {
	d, err := store.Create(ctx, mailstore.Meta{}, user)
	if err != nil {
		log.Fatal(err)
	}
	defer d.Abort()
	if _, err := io.WriteString(d, text); err != nil {
		log.Fatal(err)
	}
	if err := d.Commit(ctx, nil); err != nil {
		log.Fatal(err)
	}
}
