package relay

import (
	"io"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// TestKey: a connection that was good enough for one message is not for another that must travel under REQUIRETLS (RFC 8689), nor for one
// that goes elsewhere.
func TestKey(t *testing.T) {
	key := func(destination string, requireTLS bool) string {
		return (&transfer{d: &queue.Delivery{Destination: destination, Entry: &queue.Entry{Params: smtp.Params{RequireTLS: requireTLS}}}}).key()
	}
	keys := make(map[string]bool)
	for _, destination := range []string{"a.test", "b.test"} {
		for _, requireTLS := range []bool{false, true} {
			for range 2 { // the same is no other
				keys[key(destination, requireTLS)] = true
			}
		}
	}
	if len(keys) != 4 {
		t.Errorf("%v", keys)
	}
}

// TestWaiverBehindLines: the field is found behind lines of every length round the reader's buffer, and nothing in the middle of one is taken
// for it.
func TestWaiverBehindLines(t *testing.T) {
	for _, n := range []int{1, 4000, 4093, 4094, 4095, 4096, 4097, 4098, 8190, 8191, 8192, 8193, 8194} {
		for _, eol := range []string{"\r\n", "\n"} {
			long := "X: " + strings.Repeat("x", n-min(n, 3))
			for message, want := range map[string]bool{
				long + eol + "TLS-Required: No" + eol + eol:                                      true,
				long + eol + "tls-required : no" + eol + eol:                                     true,
				long + "TLS-Required: No" + eol + eol:                                            false,
				long + eol + eol + "TLS-Required: No" + eol:                                      false,
				"TLS-Required: No" + eol + long + eol + "TLS-Required: No" + eol + eol + "body":  false,
				"TLS-Required: yes" + eol + long + eol + eol + "TLS-Required: No" + eol + "body": false,
			} {
				a := &transfer{d: &queue.Delivery{Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(message)), nil }}}
				if a.lookForWaiver() != want {
					t.Errorf("a line of %d octets, %q: %v", n, strings.ReplaceAll(message, strings.Repeat("x", n-min(n, 3)), "…"), !want)
				}
			}
		}
	}
}
