package archive_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/archive"
)

// edges are the sizes of the buffers messages go through: of a line, of the
// reader of line ends, and of the look for a Return-Path.
var edges = []int{64 << 10, 4096, 8 << 10}

// mboxOf is an mbox file of the messages, which are written in pieces.
func mboxOf(t testing.TB, f archive.Flavour, piecemeal func(io.Reader) io.Reader, mails ...string) string {
	t.Helper()
	var file bytes.Buffer
	w := archive.NewMboxWriter(&file, f)
	for _, mail := range mails {
		_, err := w.Add(time.Unix(1, 0), func() (io.ReadCloser, error) { return io.NopCloser(piecemeal(strings.NewReader(mail))), nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return file.String()
}

// all reads the messages of a source.
func all(t testing.TB, src archive.Source) (texts []string) {
	t.Helper()
	for {
		m, err := src.Next()
		if err == io.EOF {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(m.Body)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(b))
	}
}

// TestMboxEdges: wherever the buffers end, and in whatever pieces the store and
// the file are read, what comes out of an mbox is what went in, with LF for
// CRLF. The flavours that cannot say everything lose what they say they lose.
func TestMboxEdges(t *testing.T) {
	for r, mail := range (mailtest.Messages{Edges: edges, For: time.Second}).Each(t) {
		f, edge := flavours[r.IntN(len(flavours))], edges[r.IntN(len(edges))]
		pieces := func(src io.Reader) io.Reader { return mailtest.Pieces(r, src, edge) }
		mails := []string{mail, "Subject: between\r\n\r\n.\r\n", mail}
		file := mboxOf(t, f, pieces, mails...)
		got := all(t, archive.FromMbox(pieces(strings.NewReader(file)), f, ""))
		if len(got) != len(mails) {
			t.Fatalf("flavour %d: %d messages, want %d", f, len(got), len(mails))
		}
		for i, want := range mails {
			want = strings.ReplaceAll(want, "\r\n", "\n")
			if f == archive.MboxO || f == archive.MboxCL {
				want = strings.ReplaceAll(want, "\n>From ", "\nFrom ")
			}
			if d := mailtest.Differ(got[i], want); d != "" {
				t.Fatalf("flavour %d: message %d: %s", f, i+1, d)
			}
		}
	}
}

// contents reads a message.
func contents(t testing.TB, m mailstore.Maildrop, i int) string {
	t.Helper()
	r, err := m.Open(context.Background(), i)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
