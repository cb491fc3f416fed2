package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// TestGuessesAtOnce: however many exchanges have come as far as their answer at
// the same time, no more of them are checked than could be made in a row.
func TestGuessesAtOnce(t *testing.T) {
	const most, tried = 5, 40
	for _, mechanism := range []struct {
		name   string
		client func(user, guess string) (sasl.Client, error)
	}{
		{"SCRAM-SHA-256", func(user, guess string) (sasl.Client, error) {
			return sasl.ScramClient("SCRAM-SHA-256", "", user, guess, nil)
		}},
		{"CRAM-MD5", func(user, guess string) (sasl.Client, error) { return sasl.CRAMMD5Client(user, guess), nil }},
		{"PLAIN", func(user, guess string) (sasl.Client, error) { return sasl.PlainClient("", user, guess), nil }},
	} {
		server, err := sasl.Find(sasl.Mechanisms(), mechanism.name)
		if err != nil {
			t.Fatal(err)
		}
		for _, user := range []string{"alice@mail.test", "nobody@mail.test"} {
			t.Run(mechanism.name+"/"+user, func(t *testing.T) {
				w := start(t, `"Auth": {"max_failures_per_address": 5},`)
				ctx := sasl.WithPeer(context.Background(), &sasl.Peer{
					RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, Announced: []string{}})
				// All but the last step, then the last one of all at once.
				var last []func() error
				for i := range tried {
					client, err := mechanism.client(user, fmt.Sprint("guess ", i))
					if err != nil {
						t.Fatal(err)
					}
					last = append(last, allButLast(t, ctx, server.New(w.live()), client))
				}
				var all sync.WaitGroup
				errs := make(chan error, tried)
				for _, answer := range last {
					all.Go(func() { errs <- answer() })
				}
				all.Wait()
				close(errs)
				checked := 0
				for err := range errs {
					switch {
					case errors.Is(err, sasl.ErrDenied):
						checked++
					case !errors.Is(err, sasl.ErrThrottled):
						t.Error(err)
					}
				}
				if checked != most {
					t.Errorf("%d guesses were checked, want %d", checked, most)
				}
			})
		}
	}
}

// allButLast plays an exchange up to the answer that is checked.
func allButLast(t *testing.T, ctx context.Context, server sasl.Server, client sasl.Client) (last func() error) {
	t.Helper()
	name, response, err := client.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if name != "PLAIN" {
		challenge, _, _, err := server.Next(ctx, response)
		if err != nil {
			t.Fatal(err)
		}
		if response, err = client.Next(ctx, challenge); err != nil {
			t.Fatal(err)
		}
	}
	return func() error {
		_, _, _, err := server.Next(ctx, response)
		return err
	}
}

// TestRightAtOnce: a client that logs in over many connections at a time is not
// taken for one that guesses.
func TestRightAtOnce(t *testing.T) {
	w := start(t, `"Auth": {"max_failures_per_address": 5, "max_failures_per_account": 5},`)
	ctx := sasl.WithPeer(context.Background(), &sasl.Peer{RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}})
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			if _, err := w.live().Verify(ctx, "", "alice@mail.test", []byte(testPassword)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
