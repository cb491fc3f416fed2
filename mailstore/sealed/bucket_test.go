package sealed

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/postgres"
)

// inBucket: large messages of a sealed mailbox are in a bucket as those of others are, and in clear in neither place, also where their top
// needs more room than was kept. What is sealed and unsealed in place stays in the bucket; what nothing names any more is removed from it.
func inBucket(t *testing.T, dsn string) {
	b := new(mailtest.Bucket)
	large := postgres.WithObjects(b, 64<<10, 0)
	t.Run("Convert", func(t *testing.T) { convertInDatabase(t, dsn, large) })

	b.Clear()
	r := newRing(everybody)
	inner := inDatabase(t, dsn, t.Name(), large)
	s := unlocked{New(inner, r.recipient, nil), r}
	const marked = "a line that is marked\r\n"
	bodies := []string{strings.Repeat(marked, 4_000), strings.Repeat(marked, 80_000), strings.Repeat(marked, 200)}
	top := "Subject: top\r\n" + strings.Repeat("X-Top: of which nobody knew\r\n", 40)
	for _, body := range bodies {
		d, err := s.Create(t.Context(), mailstore.Meta{Top: []byte("Subject: top\r\n")}, ann)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(d, body)
		if err := d.Commit(t.Context(), []byte(top)); err != nil {
			t.Fatal(err)
		}
	}
	if n := sql(t, inner, `select from $.body where object is not null and octets is not null`); n != 2 {
		t.Errorf("%d messages are in the bucket", n)
	}
	var all []byte
	b.Change(func(data []byte) []byte { all = append(all, data...); return data })
	if len(all) < 1_800_000 || bytes.Contains(all, []byte("marked")) {
		t.Errorf("%d octets in the bucket", len(all))
	}
	m := drop(t, s, ann)
	defer m.Close()
	for i, body := range bodies {
		if text, err := readAll(m, i); text != top+body || err != nil {
			t.Errorf("%d octets of %d, %v", len(text), len(top+body), err)
		}
	}
	b.Clear()
	for i := range 2 {
		if text, err := readAll(m, i); err == nil || text != "" {
			t.Errorf("%d octets of a message whose pieces are lost, %v", len(text), err)
		}
	}
}
