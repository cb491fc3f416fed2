package daemon

import (
	"bufio"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
)

// TestUTF8Headers: where the settings say so, mail with UTF-8 in its header is for
// programs that know it (RFC 6856 §5), and CAPA says so; everywhere else it is for
// all, and nothing is offered.
func TestUTF8Headers(t *testing.T) {
	mails := []string{
		"Subject: h\u00e9llo\r\n\r\nbody\r\n",
		"Subject: h\xe9llo\r\n\r\nbody\r\n", // which old programs send, and read
		"Subject: hello\r\n\r\nb\u00f6dy\r\n",
	}
	for _, kept := range []string{"", `"deletion": "trash"`} { // both kinds of maildrop
		for _, on := range []bool{false, true} {
			settings := kept
			if on {
				settings = strings.Trim(kept+`, "utf8": true`, ", ")
			}
			w := start(t, `"POP3": {`+settings+`},`)
			for _, mail := range mails {
				w.put(0, mail)
			}
			for _, asked := range []bool{false, true} {
				k := w.dial("127.0.0.4:0")
				k.play("S: +OK")
				k.startTLS("STLS", "+OK")
				switch {
				case on:
					k.capability("UTF8 USER")
					if asked {
						k.play("C: UTF8\nS: +OK")
					}
				case asked:
					k.play("C: UTF8\nS: -ERR")
				}
				k.play("C: USER alice@mail.test\nS: +OK\nC: PASS " + testPassword + "\nS: +OK")
				for i := range mails {
					for _, command := range []string{"RETR %d", "TOP %d 9"} {
						k.play("C: " + fmt.Sprintf(command, i+1))
						first := k.reply()
						subject := k.subject(first)
						want, _, _ := strings.Cut(mails[i], "\n")
						if i == 0 && on && !asked {
							want = ""
						}
						if subject != want+map[bool]string{true: "\n"}[want != ""] || want == "" && !strings.HasPrefix(first, "-ERR [UTF8]") {
							t.Errorf("%s, asked %v: message %d: %q, %q", settings, asked, i+1, first, subject)
						}
					}
				}
				k.play("C: QUIT\nS: +OK")
			}
			w.stop()
		}
	}
}

// subject reads the rest of a response that begins with first, and returns the
// message's first line.
func (k *talk) subject(first string) (line string) {
	k.t.Helper()
	if !strings.HasPrefix(first, "+OK") {
		return ""
	}
	line = k.reply()
	for l := line; l != ".\r\n"; {
		l = k.reply()
	}
	return line
}

func TestHasUTF8(t *testing.T) {
	long := strings.Repeat("x", 4095) // beside a buffer's edge
	for text, want := range map[string]bool{
		"":                         false,
		"a: b\r\n\r\nc":            false,
		"a: \u00e9\r\n\r\nc":       true,
		"a: \u00e9\n\nc":           true,
		"a: \xe9\r\n\r\nc":         false,
		"a: \xe9 \u00e9\r\n\r\nc":  false,
		"a: \xe9\r\nb: \u00e9\r\n": true,
		"a: \u00e9":                true,
		"a: \xe9":                  false,
		"\r\na: \u00e9":            false,
		"\na: \u00e9":              false,
		"a: b\r\n\r\n\u00e9\r\n":   false,
		"a: \ufffd\r\n\r\n":        true,
		long + "\u00e9\r\n\r\n":    true,
		long + "\U0001f4ee\r\n":    true,
		long + "\xf0\x9f\r\n\r\n":  false,
	} {
		if got := hasUTF8(bufio.NewReader(strings.NewReader(text))); got != want {
			t.Errorf("%.20q: %v", text, got)
		}
		if got := hasUTF8(bufio.NewReader(iotest.OneByteReader(strings.NewReader(text)))); got != want {
			t.Errorf("%.20q, octet by octet: %v", text, got)
		}
	}
}
