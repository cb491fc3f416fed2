package sealed

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// The mailbox in testdata/v1 opens with this.
const goldenRecovery = "ttdy-ytxk-4jtv-l5nf-kvhs-lydo-4t6r-aosy-6msv"

// TestGolden: a mailbox that an earlier version wrote is read by this one: messages that share a header, and one alone. Never change the files.
func TestGolden(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a.test", "ann")
	if err := os.CopyFS(dir, os.DirFS("testdata/v1")); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"cur", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "keyring"))
	if err != nil {
		t.Fatal(err)
	}
	var k sealedmail.Keyring
	if err := k.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	keys, err := k.Recover(goldenRecovery)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := maildir.Open(filepath.Dir(filepath.Dir(dir)), maildir.WithReserve(0))
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	m := drop(t, New(inner, func(string) (string, error) { return k.Recipient(), nil }, nil), ann).(Unlocker)
	m.Unlock(keys)
	if m.Len() != 3 {
		t.Fatalf("%d messages", m.Len())
	}
	for i := range m.Len() {
		if got, err := readAll(m, i); err != nil || !strings.HasPrefix(got, "Subject: golden ") || !strings.HasSuffix(got, "\r\n\r\nwords\r\n") {
			t.Errorf("%d: %q, %v", i, got, err)
		}
	}
}

// counting counts what is read of a file.
type counting struct {
	io.ReadCloser
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += n
	return n, err
}

// TestBeginning: whoever reads the beginning of a large message, as TOP does, has no more of it opened than the first chunk.
func TestBeginning(t *testing.T) {
	keys := newRing(everybody).of(ann)
	mark, body := newMark(keys.Recipient()), long(25<<20)
	var file strings.Builder
	if err := SealFile(&file, strings.NewReader(body), keys.Recipient(), mark); err != nil {
		t.Fatal(err)
	}
	c := &counting{ReadCloser: io.NopCloser(strings.NewReader(file.String()))}
	m, err := open(c, int64(file.Len()), mark, int64(len(body)), keys)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := io.ReadFull(m, make([]byte, 4096)); err != nil || c.n > 128<<10 {
		t.Errorf("%d octets were read, %v", c.n, err)
	}
}
