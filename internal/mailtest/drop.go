package mailtest

import (
	"io"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
)

// Texts are the messages of a maildrop, whole and in order. It fails the test where one cannot be read, or is not as long as it is said to be.
func Texts(t testing.TB, m mailstore.Maildrop) []string {
	t.Helper()
	texts := make([]string, m.Len())
	for i := range texts {
		texts[i] = Text(t, m, i)
	}
	return texts
}

// Text is one message of a maildrop.
func Text(t testing.TB, m mailstore.Maildrop, i int) string {
	t.Helper()
	r, err := m.Open(t.Context(), i)
	if err != nil {
		t.Fatalf("message %d: %v", i, err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil || int64(len(text)) != m.Size(i) {
		t.Fatalf("message %d: %d octets of %d, %v", i, len(text), m.Size(i), err)
	}
	return string(text)
}
