package sealed

import (
	"errors"
	"io"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// TestKeyReplaced: a message that came while a mailbox got another key is sealed to that, for nobody may have the one before.
func TestKeyReplaced(t *testing.T) {
	for _, size := range []int{10, 60_000, 300_000} {
		for name, now := range map[string]func(fresh *sealedmail.Unlocked) (string, error){
			"replaced":     func(fresh *sealedmail.Unlocked) (string, error) { return fresh.Recipient(), nil },
			"none":         func(*sealedmail.Unlocked) (string, error) { return "", nil },
			"unreadable":   func(*sealedmail.Unlocked) (string, error) { return "", errors.New("cut") },
			"of no use":    func(*sealedmail.Unlocked) (string, error) { return "age1nonsense", nil },
			"as it was":    nil,
			"one of a two": nil,
		} {
			old, err := sealedmail.NewKeys()
			fresh, err2 := sealedmail.NewKeys()
			inner, err3 := maildir.Open(t.TempDir(), maildir.WithReserve(0))
			if err := errors.Join(err, err2, err3); err != nil {
				t.Fatal(err)
			}
			defer inner.Close()
			began := false
			s := New(inner, func(u string) (string, error) {
				switch {
				case began && name == "one of a two" && u == bob:
					return fresh.Recipient(), nil
				case began && now != nil:
					return now(fresh)
				}
				return old.Recipient(), nil
			}, nil)
			to := []string{ann}
			if name == "one of a two" {
				to = append(to, bob)
			}
			d, err := s.Create(t.Context(), mailstore.Meta{}, to...)
			if err != nil {
				t.Fatal(err)
			}
			body := long(size)
			io.WriteString(d, body)
			began = true
			err = d.Commit(t.Context(), []byte("Top: x\r\n"))
			m := drop(t, s, ann).(Unlocker)
			switch name {
			case "unreadable", "of no use", "one of a two":
				if m.Len() != 0 || !errors.Is(err, ErrKey) {
					t.Errorf("%s, %d octets: %d messages, %v", name, size, m.Len(), err)
				}
				continue
			case "replaced":
				m.Unlock(fresh)
			default:
				m.Unlock(old)
			}
			if err != nil || m.Len() != 1 {
				t.Errorf("%s, %d octets: %d messages, %v", name, size, m.Len(), err)
				continue
			}
			if got, err := readAll(m, 0); got != "Top: x\r\n"+body {
				t.Errorf("%s, %d octets: %.50q, %v", name, size, got, err)
			}
			m.Close()
		}
	}
}
