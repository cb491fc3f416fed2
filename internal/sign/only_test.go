package sign

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestOnly: of our own signatures on top of a message a host gets one; those of others, and of ours that came with the
// message, are none of its business.
func TestOnly(t *testing.T) {
	r := open(t, t.TempDir(), usual, two())
	r.mu.Lock()
	r.keys = []*Key{
		{Domain: home, Selector: "r1", Type: "rsa", Phase: Signing}, {Domain: home, Selector: "e1", Type: "ed25519", Phase: Retired},
		{Domain: domains.Canonical("příklad.test"), Selector: "r1", Type: "rsa", Phase: Signing},
	}
	r.unlock()
	const (
		received = "Received: from a by b;\r\n\tx\r\n"
		rsa      = "DKIM-Signature: v=1; a=rsa-sha256; d=mail.test; s=r1;\r\n\tb=YQ==\r\n"
		ed       = "DKIM-Signature: v=1; a=ed25519-sha256; d=mail.test;\r\n\ts=e1; b=YQ==\r\n"
		other    = "DKIM-Signature: v=1; a=ed25519-sha256; d=other.test; s=e1; b=YQ==\r\n"
		unknown  = "DKIM-Signature: v=1; a=ed25519-sha256; d=mail.test; s=e2; b=YQ==\r\n"
		idn      = "DKIM-Signature: v=1; a=rsa-sha256; d=xn--pklad-zsa96e.test; s=r1; b=YQ==\r\n"
		rest     = "From: a@mail.test\r\nSubject: x\r\n\r\nDKIM-Signature: body d=mail.test; s=e1\r\n"
	)
	for _, c := range []struct{ typ, message, want string }{
		{"rsa", received + rsa + ed + rest, received + rsa + rest},
		{"rsa", received + ed + rsa + rest, received + rsa + rest},
		{"ed25519", received + rsa + ed + rest, received + ed + rest},
		{"rsa", "Delivered-To: x\r\n" + received + rsa + ed + "Date: x\r\n" + rest, "Delivered-To: x\r\n" + received + rsa + "Date: x\r\n" + rest},
		// Of that type there is none: then all.
		{"ed25519", received + rsa + rest, received + rsa + rest},
		{"rsa", received + ed + rest, received + ed + rest},
		{"ed25519", received + idn + rest, received + idn + rest},
		{"rsa", received + idn + ed + rest, received + idn + rest},
		// What came with the message stays.
		{"rsa", received + rsa + other + ed + rest, received + rsa + other + ed + rest},
		{"rsa", received + unknown + rsa + ed + rest, received + unknown + rsa + rest},
		{"rsa", received + received + rsa + ed + rest, received + received + rsa + ed + rest},
		{"rsa", received + rsa + ed + "Received: x\r\n" + ed + rest, received + rsa + "Received: x\r\n" + ed + rest},
		{"rsa", "", ""},
		{"rsa", "no header\r\n", "no header\r\n"},
		{"rsa", rsa + ed, rsa},
		{"rsa", received + rsa + ed + rest + strings.Repeat("Long: x\r\n", maxTop/5), received + rsa + rest + strings.Repeat("Long: x\r\n", maxTop/5)},
	} {
		for _, reader := range []io.Reader{strings.NewReader(c.message), iotest.OneByteReader(strings.NewReader(c.message))} {
			m, err := r.Only(c.typ)(reader)
			if err != nil {
				t.Errorf("%.200q: %v", c.message, err)
				continue
			}
			if got, err := io.ReadAll(m); err != nil || string(got) != c.want {
				t.Errorf("only %s of %.200q: %v\ngot  %.200q\nwant %.200q", c.typ, c.message, err, got, c.want)
			}
		}
	}
	if m, err := r.Only("rsa")(io.MultiReader(strings.NewReader(received+rsa), iotest.ErrReader(io.ErrUnexpectedEOF))); err == nil {
		if _, err = io.ReadAll(m); err == nil {
			t.Error("a message that cannot be read is whole")
		}
	}
}
