package archive_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/archive"
)

const fromLine = "From x Thu Jan  1 00:00:00 1970\n"

// importAll imports an mbox file and returns the messages in their order there.
func importAll(t *testing.T, dst mailstore.Store, f archive.Flavour, file string) archive.Stats {
	t.Helper()
	s, err := archive.Import(context.Background(), dst, user, archive.FromMbox(strings.NewReader(file), f, ""), archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTwoFiles: different messages of two files are two messages, the same is one.
func TestTwoFiles(t *testing.T) {
	dst := store(t, t.TempDir())
	for i, subject := range []string{"a", "b", "a"} {
		s := importAll(t, dst, archive.MboxRD, fromLine+"Subject: "+subject+"\n\nbody\n\n")
		if want := int64(1 - i/2); s.Done != want || s.Skipped != 1-want {
			t.Errorf("file %d: %+v", i+1, s)
		}
	}
}

// TestComputedUID: the id of a message without one is the same in every version,
// or it would be imported again.
func TestComputedUID(t *testing.T) {
	dst := store(t, t.TempDir())
	importAll(t, dst, archive.MboxRD, strings.Repeat(fromLine+"Subject: a\n\nbody\n\n", 3))
	uids, _ := holds(t, dst)
	if got, want := strings.Join(uids, " "), goldenUID+" "+goldenUID+"-2 "+goldenUID+"-3"; got != want {
		t.Errorf("ids %s, want %s", got, want)
	}
	// Whatever the line ends.
	src := archive.FromMbox(strings.NewReader(strings.ReplaceAll(fromLine+"Subject: a\n\nbody\n\n", "\n", "\r\n")), archive.MboxRD, "")
	if s, err := archive.Import(context.Background(), dst, user, src, archive.Options{}); err != nil || s.Skipped != 1 {
		t.Errorf("with CRLF: %+v, %v", s, err)
	}
}

// goldenUID is 40 digits of the SHA-256 of "Subject: a\n\nbody\n\n": each line, and what is behind the
// last, with LF.
const goldenUID = "753a4204d7e7fda0f47308e1fe4cd20d2fcec284"

// TestHeadOfUID: the id of a message without one comes from its first 64 KiB.
func TestHeadOfUID(t *testing.T) {
	for at, same := range map[int]bool{64<<10 - 1: false, 64 << 10: true} {
		dst := store(t, t.TempDir())
		for _, c := range "xy" {
			importAll(t, dst, archive.MboxRD, fromLine+"Subject: a\n\n"+strings.Repeat("z", at-12)+string(c)+"\n\n")
		}
		if uids, _ := holds(t, dst); (len(uids) == 1) != same {
			t.Errorf("different at octet %d: %q", at, uids)
		}
	}
}

// TestFieldAtBufferEnd: a Content-Length field of the message's own, and the one
// that is the archive's, wherever the reader's buffer ends.
func TestFieldAtBufferEnd(t *testing.T) {
	for k := range 600 {
		text := []string{"body\n", strings.Repeat("what overwrites the buffer\n", 5000)}[k%2]
		head := "X: " + strings.Repeat("x", 900) + "\n"
		for n := 64<<10 - 200 + k/2 - len(fromLine); len(head) < n; {
			head += "Y: " + strings.Repeat("y", min(900, n-len(head))) + "\n"
		}
		head += "Content-Length: 999\nZ: " + strings.Repeat("z", 100) + "\n"
		got := all(t, archive.FromMbox(strings.NewReader(fromLine+head+"Content-Length: "+strconv.Itoa(len(text))+"\n\n"+text+"\n"), archive.MboxCL2, ""))
		if len(got) != 1 {
			t.Fatalf("%d: %d messages", k, len(got))
		}
		if d := mailtest.Differ(got[0], head+"\n"+text); d != "" {
			t.Fatalf("%d: %s", k, d)
		}
	}
}

// TestLengthsAroundBuffer: a body of any length is counted, whether or not the
// buffer holds it all, from a file and from a stream, though it holds From_ lines.
func TestLengthsAroundBuffer(t *testing.T) {
	for n := 64<<10 - 40; n < 64<<10+10; n++ {
		body := "\n" + fromLine + "\n"
		body += strings.Repeat("y", n-len(body)-1) + "\n"
		mail := "Subject: x\n\n" + body
		file := mboxOf(t, archive.MboxCL2, func(r io.Reader) io.Reader { return r }, mail, "Subject: behind\n\n.\n")
		for name, r := range map[string]io.Reader{"file": strings.NewReader(file), "stream": iotest.HalfReader(strings.NewReader(file))} {
			if got := all(t, archive.FromMbox(r, archive.MboxCL2, "")); len(got) != 2 || got[0] != mail {
				t.Errorf("%s: body of %d octets: %d messages", name, n, len(got))
			}
		}
	}
}

// TestCanEnd: a Content-Length is believed if a message can end where it
// leads, and only then.
func TestCanEnd(t *testing.T) {
	const next = fromLine + "Subject: next\n\n.\n"
	for _, c := range []struct {
		name, body string
		length     int
		behind     string // what stands behind the body
		want       string // the body; "" if it is not split otherwise
	}{
		{"right", "a\n\n" + fromLine + "\nb\n", 0, "\n" + next, ""},
		{"right, with CRLF behind", "a\n\nFrom b\n", 0, "\r\n" + next, ""},
		{"last", "a\n\nFrom b\n", 0, "\n", ""},
		{"last, no line between", "a\n\nFrom b\n", 0, "", ""},
		{"last, no line end", "a\n\nFrom b", 0, "", ""},
		{"no blank line before the next", "abc\n", 0, next, "abc\n"},
		{"too short", "abc\ndef\n", 4, "\n" + next, "abc\ndef\n"},
		{"too long", "abc\n", 40, "\n" + next, "abc\n"},
		{"beyond the end", "abc\n", 1 << 30, "\n" + next, "abc\n"},
		{"negative", "abc\n", -5, "\n" + next, "abc\n"},
		{"ends within a line", "abc", 0, "\n\n" + next, ""},
	} {
		length := c.length
		if length == 0 {
			length = len(c.body)
		}
		field := "Content-Length: " + strconv.Itoa(length) + "\n"
		want, believed := c.body, c.length == 0 && c.want == ""
		if c.want != "" {
			want = c.want
		}
		for file, head := range map[string]string{
			"Subject: x\nX-Before: y\n" + field:   "Subject: x\nX-Before: y\n",
			"Subject: x\n" + field + "Lines: 1\n": "Subject: x\n" + field + "Lines: 1\n", // as other programs write it
		} {
			if !believed {
				head = file
			}
			got := all(t, archive.FromMbox(strings.NewReader(fromLine+file+"\n"+c.body+c.behind), archive.MboxCL2, ""))
			if len(got) == 0 || got[0] != head+"\n"+want {
				t.Errorf("%s: %q, want %q", c.name, got, head+"\n"+want)
			}
		}
	}
}

// TestMboxForgives: blank lines before the first message.
func TestMboxForgives(t *testing.T) {
	for _, before := range []string{"\n", "\n\n", "\r\n\r\n"} {
		if got := all(t, archive.FromMbox(strings.NewReader(before+fromLine+"Subject: x\n\n.\n"), archive.MboxRD, "")); len(got) != 1 {
			t.Errorf("%q: %q", before, got)
		}
	}
	if _, err := archive.FromMbox(strings.NewReader("\nx\n"+fromLine), archive.MboxRD, "").Next(); !errors.Is(err, archive.ErrNotMbox) {
		t.Errorf("text before the first message: %v", err)
	}
}

// TestEmptyMessage: a message of no octets is one.
func TestEmptyMessage(t *testing.T) {
	dst := store(t, t.TempDir())
	if s := importAll(t, dst, archive.MboxRD, fromLine+"\n"+fromLine+"Subject: x\n\n.\n"); s.Done != 2 {
		t.Errorf("%+v", s)
	}
}

// TestFromLine: it names the envelope's sender, and when the message came.
func TestFromLine(t *testing.T) {
	for head, want := range map[string]string{
		"Return-Path: <bob@example.org>\r\nSubject: x\r\n\r\n":  "bob@example.org",
		"Subject: x\r\nReturn-Path:\tbob@example.org\r\n\r\n":   "bob@example.org",
		"Return-Path: <>\r\n\r\n":                               "MAILER-DAEMON",
		"Return-Path: <\"a b\"@c>\r\n\r\n":                      "MAILER-DAEMON",
		"Subject: x\r\n\r\nReturn-Path: <body@example.org>\r\n": "MAILER-DAEMON",
		"": "MAILER-DAEMON",
	} {
		var file bytes.Buffer
		w := archive.NewMboxWriter(&file, archive.MboxRD)
		_, err := w.Add(time.Unix(100, 0), func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(head)), nil })
		if err := errors.Join(err, w.Flush()); err != nil {
			t.Fatal(err)
		}
		if line, _, _ := strings.Cut(file.String(), "\n"); line != "From "+want+" Thu Jan  1 00:01:40 1970" {
			t.Errorf("%q: %q", head, line)
		}
	}
}
