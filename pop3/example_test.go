package pop3_test

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/pop3"
)

// newsletter is a maildrop that everybody shares and nobody can empty.
type newsletter []string

func (n newsletter) Len() int         { return len(n) }
func (n newsletter) Size(i int) int64 { return int64(len(n[i])) }
func (n newsletter) UID(i int) string { return fmt.Sprintf("issue-%d", i+1) }
func (n newsletter) Close() error     { return nil }

func (n newsletter) Open(_ context.Context, i int) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(n[i])), nil
}

func (n newsletter) Remove(context.Context, []int) error {
	return &pop3.Error{Code: pop3.CodeSysPerm, Text: "issues are not removed"}
}

func Example() {
	srv := &pop3.Server{
		Backend: pop3.BackendFunc(func(_ context.Context, _ *pop3.Session, account string) (pop3.Drop, error) {
			return newsletter{"Subject: One\r\n\r\nHello " + account + "!\r\n"}, nil
		}),
		Credentials: sasl.PasswordFunc(func(user, password, remoteAddr string) error { // other Credentials never see a password
			if user == "reader" && subtle.ConstantTimeCompare([]byte(password), []byte("secret")) == 1 {
				return nil
			}
			return sasl.ErrDenied
		}),
		CleartextAuth: true, // on this machine only; elsewhere set TLSConfig
		Log:           slog.New(slog.DiscardHandler),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(l)
	defer srv.Shutdown(context.Background())

	ctx := context.Background()
	d := pop3.Dialer{User: "reader", Password: "secret"}
	c, err := d.Dial(ctx, l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	count, octets, _ := c.Stat(ctx)
	fmt.Println(count, "message of", octets, "octets")
	mail, err := c.Retr(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}
	text, err := io.ReadAll(mail) // nil: complete
	fmt.Println(strings.ReplaceAll(string(text), "\r\n", "\n"), err)
	c.Dele(ctx, 1)
	fmt.Println(errors.Is(c.Quit(ctx), pop3.ErrPermanent))
	// Output:
	// 1 message of 31 octets
	// Subject: One
	//
	// Hello reader!
	//  <nil>
	// true
}

// Fetch what is new, and remove it only when it is safe.
func ExampleClient_RetrAll() {
	ctx := context.Background()
	c, err := (&pop3.Dialer{TLS: pop3.TLSFromStart, User: "me", Password: "secret"}).Dial(ctx, "pop.example.com:995")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close() // without Quit nothing is removed

	all, err := c.UIDL(ctx)
	if err != nil {
		log.Fatal(err)
	}
	var fresh []int
	name := make(map[int]string)
	for _, m := range all {
		file := pop3.SafeName(m.UID) // the UID itself may be "../../x"
		if _, err := os.Stat(file); err != nil {
			fresh = append(fresh, m.Number)
			name[m.Number] = file
		}
	}
	err = c.RetrAll(ctx, fresh, func(number int, t *pop3.Text, err error) error {
		if err != nil {
			return err
		}
		return store(name[number], t) // no other command in here
	})
	if err == nil {
		err = c.DeleAll(ctx, fresh)
	}
	if err == nil {
		err = c.Quit(ctx)
	}
	if errors.Is(err, pop3.ErrTemporary) {
		log.Print("next time then")
	}
}

// store puts a message into a file that is there only when it is whole.
func store(name string, t *pop3.Text) error {
	f, err := os.CreateTemp(".", "incoming-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := io.Copy(f, t); err != nil {
		f.Close()
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// A Backend chooses the answer to a login by its error.
func ExampleBackendFunc() {
	errClosed := errors.New("database is closed")
	srv := &pop3.Server{Backend: pop3.BackendFunc(func(_ context.Context, s *pop3.Session, account string) (pop3.Drop, error) {
		switch account {
		case "moved":
			return nil, &pop3.Error{Code: pop3.CodeSysPerm, Text: "your mail is at pop2.example.com now"}
		case "busy":
			return nil, fmt.Errorf("opening for %v: %w", s.RemoteAddr, pop3.ErrInUse)
		}
		return nil, errClosed // the client hears [SYS/TEMP], the log hears this
	})}
	_ = srv
}
