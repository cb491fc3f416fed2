package archive_test

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/archive"
)

// format is a way out of a store and into another, and what it changes in a
// message.
type format struct {
	name string
	move func(t *testing.T, m mailstore.Maildrop) archive.Source
	lose func(mail string) string
}

var formats = []format{
	{"maildir", func(_ *testing.T, m mailstore.Maildrop) archive.Source {
		return archive.FromMaildrop(context.Background(), m)
	}, func(mail string) string { return mail }},
	{"eml", throughFiles, crlf},
	{"mboxo", throughMbox(archive.MboxO), func(mail string) string { return unquoted(ended(inMbox(mail))) }},
	{"mboxrd", throughMbox(archive.MboxRD), func(mail string) string { return ended(inMbox(mail)) }},
	{"mboxcl", throughMbox(archive.MboxCL), func(mail string) string { return unquoted(endedHeader(inMbox(mail))) }},
	{"mboxcl2", throughMbox(archive.MboxCL2), func(mail string) string { return endedHeader(inMbox(mail)) }},
}

func throughFiles(t *testing.T, m mailstore.Maildrop) archive.Source {
	dir := t.TempDir()
	if s, err := archive.ExportFiles(context.Background(), m, dir, nil); err != nil || int(s.Done) != m.Len() {
		t.Fatalf("%+v, %v", s, err)
	}
	src, err := archive.FromFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func throughMbox(f archive.Flavour) func(*testing.T, mailstore.Maildrop) archive.Source {
	return func(t *testing.T, m mailstore.Maildrop) archive.Source {
		var file bytes.Buffer
		if s, err := archive.ExportMbox(context.Background(), m, archive.NewMboxWriter(&file, f), nil); err != nil || int(s.Done) != m.Len() {
			t.Fatalf("%+v, %v", s, err)
		}
		return archive.FromMbox(bytes.NewReader(file.Bytes()), f, "")
	}
}

// crlf: a bare LF becomes CRLF.
func crlf(mail string) string {
	return strings.ReplaceAll(strings.ReplaceAll(mail, "\n", "\r\n"), "\r\r\n", "\r\n")
}

// inMbox: in the file CRLF is LF, so that CR CR LF becomes CRLF.
func inMbox(mail string) string { return crlf(strings.ReplaceAll(mail, "\r\n", "\n")) }

// ended: the last line gets an end, to which a CR at its end is a beginning.
func ended(mail string) string {
	if mail == "" || strings.HasSuffix(mail, "\n") {
		return mail
	}
	return strings.TrimSuffix(mail, "\r") + "\r\n"
}

// endedHeader: the last line gets an end if it is one of the header.
func endedHeader(mail string) string {
	if strings.Contains("\n"+mail, "\n\r\n") {
		return mail
	}
	return ended(mail)
}

// unquoted: ">From " at the beginning of a line becomes "From ".
func unquoted(mail string) string {
	return strings.ReplaceAll("\n"+mail, "\n>From ", "\nFrom ")[1:]
}

// TestOctets: through every format comes octet for octet what went in, but for
// what the format cannot say (docs/storage.md).
func TestOctets(t *testing.T) {
	names, mails := mailtest.Corpus(t, "../../testdata/messages")
	for _, mail := range (mailtest.Messages{Edges: edges, Wild: true, Count: 40}).Each(t) {
		names, mails = append(names, "generated"), append(mails, mail)
	}
	for _, end := range []string{"", "\r", "\n", "\r\n", "\r\r", "\r\r\n", "\r\n\r", "\r\n\r\n", "\r\n\r\r"} {
		names, mails = append(names, "end "+end), append(mails, "Subject: "+strconv.Quote(end)+end)
	}
	src := store(t, t.TempDir())
	fill(t, src, mails...)
	for _, f := range formats {
		m := drop(t, src)
		checkContents(t, "the store", m, names, mails, func(mail string) string { return mail })
		dst := store(t, t.TempDir())
		from := f.move(t, m)
		s, err := archive.Import(context.Background(), dst, user, from, archive.Options{})
		if err != nil || int(s.Done) != len(mails) {
			t.Errorf("%s: %+v, %v; want %d messages", f.name, s, err, len(mails))
		}
		from.Close()
		m.Close()
		got := drop(t, dst)
		checkContents(t, f.name, got, names, mails, f.lose)
		got.Close()
	}
}

// checkContents compares a maildrop's messages with mails as f changes them.
func checkContents(t *testing.T, what string, m mailstore.Maildrop, names, mails []string, f func(string) string) {
	t.Helper()
	if m.Len() != len(mails) {
		t.Errorf("%s: %d messages, want %d", what, m.Len(), len(mails))
	}
	seen := make(map[string]int)
	for i := range m.Len() {
		seen[contents(t, m, i)]++
	}
	for i, mail := range mails {
		want := f(mail)
		if seen[want]--; seen[want] < 0 {
			t.Errorf("%s: %s (%d octets, ends %q) has changed", what, names[i], len(mail), mail[max(0, len(mail)-20):])
		}
	}
}
