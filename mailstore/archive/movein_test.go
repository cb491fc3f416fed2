package archive_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/mailstore/archive"
)

// TestSeparator: a message begins at a line with a date, be there an empty line before
// or not; a line without one is text, also behind an empty line.
func TestSeparator(t *testing.T) {
	for _, c := range []struct {
		name, between string
		messages      int
	}{
		{"no empty line", "From - Tue Jul 05 18:44:16 2022\n", 2},
		{"an empty line", "\nFrom - Tue Jul 05 18:44:16 2022\n", 2},
		{"zone behind", "From a@b Tue Jul  5 18:44:16 2022 +0200\n", 2},
		{"zone and its name behind", "From a@b Tue Jul  5 18:44:16 2022 +0200 (CEST)\n", 2},
		{"zone before the year", "From a@b Tue Jul  5 18:44:16 CEST 2022\n", 2},
		{"no seconds", "From a@b Tue Jul  5 18:44 2022\n", 2},
		{"RFC 5322", "From a@b Tue, 05 Jul 2022 18:44:16 +0200\n", 2},
		{"ISO", "From a@b 2022-07-05T18:44:16Z\n", 2},
		{"by UUCP", "From a Tue Jul  5 18:44:16 2022 remote from host\n", 2},
		{"no sender", "From  Tue Jul  5 18:44:16 2022\n", 2},
		{"blanks in the sender", "From \"a b c\"@d Tue Jul  5 18:44:16 2022\n", 2},
		{"CRLF", "From a@b Tue Jul  5 18:44:16 2022\r\n", 2},
		{"text", "From my side there is nothing to add.\n", 1},
		{"text behind an empty line", "\nFrom my side there is nothing to add.\n", 1},
		{"a date in a sentence", "\nFrom the letter of Tue Jul  5 18:44:16 2022\n", 1},
		{"text behind the date", "\nFrom a Tue Jul  5 18:44:16 2022 he said\n", 1},
		{"a long line", "\nFrom a " + strings.Repeat(" ", 1<<10) + "Tue Jul  5 18:44:16 2022\n", 1},
		{"quoted", "\n>From a Tue Jul  5 18:44:16 2022 +0200\n", 1},
	} {
		behind := "Subject: two\n\nbody two\n"
		if c.messages == 1 {
			behind = "no field\n"
		}
		file := fromLine + "Subject: one\n\nbody one\n" + c.between + behind
		for _, f := range flavours {
			got := all(t, archive.FromMbox(strings.NewReader(file), f, ""))
			want := []string{"Subject: one\n\nbody one\n" + strings.Replace(c.between, ">", "", 1) + behind}
			if f == archive.MboxCL2 {
				want[0] = "Subject: one\n\nbody one\n" + c.between + behind
			}
			if c.messages == 2 {
				want = []string{"Subject: one\n\nbody one\n", behind}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", c.name, got, want)
			}
		}
	}
}

// TestSeparatorInHeader: a message that was cut short within its header ends there,
// and loses nothing; the flavour that quotes nothing keeps such a line.
func TestSeparatorInHeader(t *testing.T) {
	file := fromLine + "Subject: one\nContent-Length: 7\n" + fromLine + "Subject: two\n\n.\n\n" + fromLine + "Content-Length: 8\n"
	for _, f := range flavours {
		want := []string{"Subject: one\nContent-Length: 7\n", "Subject: two\n\n.\n", "Content-Length: 8\n"}
		if f == archive.MboxCL2 {
			want = []string{"Subject: one\nContent-Length: 7\n" + fromLine + "Subject: two\n\n.\n", "Content-Length: 8\n"}
		}
		if got := all(t, archive.FromMbox(strings.NewReader(file), f, "")); !slices.Equal(got, want) {
			t.Errorf("flavour %d: %q, want %q", f, got, want)
		}
	}
}

// TestDoubt: a line without a date that stands where a message might begin is text, and
// somebody hears of it.
func TestDoubt(t *testing.T) {
	file := fromLine + "Subject: one\n\nbody\n\nFrom bob\nSubject: two\n\nbody\n\n" + fromLine + "Subject: three\n\nbody\n\nFrom here\non\n"
	for _, f := range flavours {
		dst := store(t, t.TempDir())
		var heard []string
		s, err := archive.Import(context.Background(), dst, user, archive.FromMbox(strings.NewReader(file), f, ""), archive.Options{
			Problem: func(name string, err error) {
				if !errors.Is(err, archive.ErrDoubtful) {
					t.Error(err)
				}
				heard = append(heard, fmt.Sprint(name, ": ", err))
			},
		})
		if err != nil || s.Done != 2 || s.Doubts != 1 || s.Failed != 0 {
			t.Errorf("%+v, %v", s, err)
		}
		if len(heard) != 1 || !strings.HasPrefix(heard[0], "message 1, line 6: ") || !strings.Contains(heard[0], `"From bob"`) {
			t.Errorf("heard %q", heard)
		}
		_, got := holds(t, dst)
		if len(got) != 2 || got[0] != "Subject: one\r\n\r\nbody\r\n\r\nFrom bob\r\nSubject: two\r\n\r\nbody\r\n" {
			t.Errorf("%q", got)
		}
	}
	// The last of the file, and nobody to hear of it.
	file = file[:strings.LastIndex(file, fromLine)]
	_, err := archive.Import(context.Background(), store(t, t.TempDir()), user, archive.FromMbox(strings.NewReader(file), archive.MboxO, ""), archive.Options{})
	if !errors.Is(err, archive.ErrDoubtful) {
		t.Errorf("nobody hears: %v", err)
	}
}

// TestCRLines: a file whose lines end in CR alone is refused.
func TestCRLines(t *testing.T) {
	for _, file := range []string{
		"From a Mon Jan  1 00:00:00 2024\rSubject: s1\r\rbody 1\r\rFrom b Tue Jan  2 00:00:00 2024\rSubject: s2\r\rbody 2\r",
		"From a Mon Jan  1 00:00:00 2024\r",
		"From a Mon Jan  1 00:00:00 2024\rSubject: s1\r\rbody 1\n",
		"From a Mon Jan  1 00:00:00 2024\rSubject: s1\r\r" + strings.Repeat("body ", 100_000),
	} {
		if _, err := archive.FromMbox(strings.NewReader(file), archive.MboxO, "").Next(); !errors.Is(err, archive.ErrCRLines) {
			t.Errorf("%.60q: %v", file, err)
		}
	}
}

// TestMboxKnows: what the programs before wrote into the headers is known again, and
// stays in the messages.
func TestMboxKnows(t *testing.T) {
	const base = "X-IMAPbase:           1795982999                    2\n"
	long := "X-Long: " + strings.Repeat("x", 900) + "\n"
	for _, c := range []struct {
		header     string
		uidl       archive.UIDL
		uid, flags string
	}{
		{"Subject: x\n", "", "", ""},
		{"Status: RO\nX-UIDL: abc123\n", "", "abc123", "S"},
		{"status : O\n", "", "", ""},
		{"Status: R\nX-Status: AFDT\n", "", "", "SRFTD"},
		{"X-Mozilla-Status: 1007\n", "", "", "SRFP"},
		{"X-Mozilla-Status: nine\n", "", "", ""},
		{"X-UIDL: with a blank\n", "", "", ""},
		{"X-UIDL: " + strings.Repeat("x", 71) + "\n", "", "", ""},
		{base + "X-UID: 1\n", "", "000000016b0c8697", ""},
		{base + "X-UID: 1\nX-UIDL: abc\n", "", "abc", ""},
		{base + "X-UID: 1\nX-UIDL: abc\n", archive.UIDLUW, "6b0c869700000001", ""},
		{base + "X-UID: 1\nX-UIDL: abc\n", archive.UIDLNone, "", ""},
		{"X-UIDL: abc\n", archive.UIDLUW, "abc", ""},
		{"X-UID: 1\n", archive.UIDLUW, "", ""},
		{strings.Repeat(long, 5) + "X-UIDL: abc\n", "", "abc", ""},
		{strings.Repeat(long, 60) + "X-UIDL: abc\n", "", "abc", ""},
		{"Subject: x\n\nX-UIDL: abc\n", "", "", ""},
		{"\nStatus: R\nX-UIDL: abc\n", "", "", ""},
		{"Subject: x\n" + fromLine + "X-UIDL: abc\n", "", "", ""},
	} {
		for _, end := range []string{"\n", "\r\n"} {
			file := strings.ReplaceAll(fromLine+c.header+"\n.\n", "\n", end)
			m, err := archive.FromMbox(strings.NewReader(file), archive.MboxO, c.uidl).Next()
			if err != nil {
				t.Fatal(err)
			}
			if m.UID != c.uid || m.Flags != c.flags {
				t.Errorf("%.80q: id %q, flags %q; want %q, %q", c.header, m.UID, m.Flags, c.uid, c.flags)
			}
			body, err := io.ReadAll(m.Body)
			if want := strings.ReplaceAll(c.header+"\n.\n", "\n", end); err != nil || !strings.HasPrefix(want, string(body)) || len(body) < 2 {
				t.Errorf("%.80q: the message is %.80q, %v", c.header, body, err)
			}
		}
	}
	// The first message tells the number of the file.
	src := archive.FromMbox(strings.NewReader(fromLine+base+"X-UID: 1\n\n.\n\n"+fromLine+"X-IMAPbase: 7 7\nX-UID: 2\n\n.\n"), archive.MboxO, "")
	var got []string
	for range 2 {
		m, err := src.Next()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.UID)
	}
	if want := []string{"000000016b0c8697", "000000026b0c8697"}; !slices.Equal(got, want) {
		t.Errorf("ids %q, want %q", got, want)
	}
}

// messages is a source of messages made up.
type messages []*archive.Message

func (m *messages) Next() (*archive.Message, error) {
	if len(*m) == 0 {
		return nil, io.EOF
	}
	next := *(*m)[0]
	*m = (*m)[1:]
	return &next, nil
}

func (m *messages) Close() error { return nil }

// TestOneIDTwoMessages: an id that another message has already keeps no message out,
// neither in one import nor in the next; and what is there is not taken twice.
func TestOneIDTwoMessages(t *testing.T) {
	long := strings.Repeat("all the same\n", 6000)
	texts := []string{"Subject: a\n\nx\n", "Subject: b\n\nx\n", "Subject: a\n\nx\nand more\n", "Subject: c\n\n" + long, "Subject: d\n\n" + long, "\r\r\n\n", ""}
	dst := store(t, t.TempDir())
	for round := range 3 {
		for _, text := range texts {
			src := &messages{{Name: text, UID: "1", Body: strings.NewReader(text)}}
			s, err := archive.Import(context.Background(), dst, user, src, archive.Options{})
			if want := int64(min(round, 1)); err != nil || s.Skipped != want || s.Done != 1-want {
				t.Errorf("round %d, %.20q: %+v, %v", round, text, s, err)
			}
		}
		src := make(messages, 0, len(texts))
		for _, text := range texts[:3] {
			src = append(src, &archive.Message{Name: text, UID: "1", Body: strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n"))})
		}
		s, err := archive.Import(context.Background(), dst, user, &src, archive.Options{})
		if err != nil || s.Done != 0 {
			t.Errorf("round %d, with CRLF: %+v, %v", round, s, err)
		}
	}
	uids, got := holds(t, dst)
	if len(got) != len(texts) || uids[0] != "1" && !slices.Contains(uids, "1") {
		t.Errorf("%d messages, %q", len(got), uids)
	}
}
