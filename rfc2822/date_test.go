package rfc2822

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParseDate(t *testing.T) {
	tests := map[string]string{
		"Fri, 20 Nov 2026 09:05:01 +0100":                          "2026-11-20T09:05:01+01:00",
		"20 Nov 2026 09:05 -0000":                                  "2026-11-20T09:05:00Z",
		"Fri, 20 Nov 2026 09:05:01 +0100 (CET)":                    "2026-11-20T09:05:01+01:00",
		"Fri (day), 20 (d) Nov(ember (x)) 2026 09 : 05 : 01 +0100": "2026-11-20T09:05:01+01:00",
		"Fri,\r\n 20 Nov\r\n\t2026 09:05:01 +0100":                 "2026-11-20T09:05:01+01:00",
		"21 Nov 97 09:55:06 GMT":                                   "1997-11-21T09:55:06Z",
		"21 Nov 03 09:55:06 UT":                                    "2003-11-21T09:55:06Z",
		"21 Nov 103 09:55:06 UT":                                   "2003-11-21T09:55:06Z",
		"21 Nov 1997 09:55:06 EST":                                 "1997-11-21T09:55:06-05:00",
		"21 Nov 1997 09:55:06 PDT":                                 "1997-11-21T09:55:06-07:00",
		"21 Nov 1997 09:55:06 CEST":                                "1997-11-21T09:55:06+02:00",
		"21 Nov 1997 09:55:06 A":                                   "1997-11-21T09:55:06Z",
		"21 Nov 1997 09:55:06 Mars/Olympus":                        "1997-11-21T09:55:06Z",
		"21 Nov 1997 09:55:06 GMT+0200":                            "1997-11-21T09:55:06+02:00",
		"21 Nov 1997 09:55:06 GMT +0200":                           "1997-11-21T09:55:06Z",
		"21 Nov 1997 09:55:06 -1":                                  "1997-11-21T09:55:06-01:00",
		"21 Nov 1997 09:55:06 +05:30":                              "1997-11-21T09:55:06+05:30",
		"21 Nov 1997 09:55:06":                                     "1997-11-21T09:55:06Z",
		"21 Nov 1997":                                              "1997-11-21T00:00:00Z",
		"Fri Nov 21 09:55:06 1997":                                 "1997-11-21T09:55:06Z",
		"Fri Nov 21 09:55:06 EST 1997":                             "1997-11-21T09:55:06-05:00",
		"Friday, 21-Nov-97 09:55:06 GMT":                           "1997-11-21T09:55:06Z",
		"November 21, 1997 9:55 pm":                                "1997-11-21T21:55:00Z",
		"Nov 21st 1997 12:05 AM":                                   "1997-11-21T00:05:00Z",
		"1997-11-21T09:55:06Z":                                     "1997-11-21T09:55:06Z",
		"1997-11-21T09:55:06.123+01:00":                            "1997-11-21T09:55:06+01:00",
		"1997-11-21 09:55:06 -0600":                                "1997-11-21T09:55:06-06:00",
		"21.11.1997 09:55":                                         "1997-11-21T09:55:00Z",
		"11/21/1997 09:55":                                         "1997-11-21T09:55:00Z",
		"31 Dec 2016 23:59:60 +0000":                               "2017-01-01T00:00:00Z",
		"1 Jan 2026 00:00:00 +0000 extra":                          "2026-01-01T00:00:00Z",
		"1 Jan 2026 00:00:00 +0000 12:00 (x":                       "2026-01-01T00:00:00Z",
		"1 Jan 2026 00:00:00 AWL version=2.40":                     "2026-01-01T00:00:00Z",
		"1 Jan 2026 00:00:00 +-0500":                               "2026-01-01T00:00:00-05:00",
		"1 Jan 2026 00:00:00 -+0500":                               "2026-01-01T00:00:00+05:00",
		"1 Jan 2026 00:00:00 GMT+-0500":                            "2026-01-01T00:00:00-05:00",
		"1 Jan 2026 00:00:00 +0100CET":                             "2026-01-01T00:00:00+01:00",
		"1 Jan 2026 00:00:00 0200":                                 "2026-01-01T00:00:00+02:00",
		"Thu Jan 1 00:00:00 2026 0200":                             "2026-01-01T00:00:00+02:00",
		"31 Dec 2026 00:00":                                        "2026-12-31T00:00:00Z",
	}
	for in, want := range tests {
		got, err := ParseDate(in)
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%q: %s, %v, want %s", in, got.Format(time.RFC3339), err, want)
		}
	}
	for _, in := range []string{
		"", " ", "yesterday", "20 Nov", "Nov 2026", "31 Jun 2026 00:00:00 +0000", "32 Jan 2026 00:00", "20 Nov 2026 24:00:00 +0000", "20 Nov 2026 12:60",
		"20 Nov 2026 1:2:3:4", "20 Nov 2026 :", "20 Nov 2026 12:00 +9999", "20 Nov 2026 12:00 +123456", "20 Nov 2026 12:00 12:00", "20 Nov 2026 2027 1", "+", "12:+1:00 20 Nov 2026",
		"99999999999999999999 Nov 2026", "20-Foo-2026", "1 anF 2026", "1 ebM 2026", "1 Ja 2026", "a-b-c", "1-2", "20 Nov 2026 12:00:00.x", "20261/11/20", "20 Nov 2026 12:00+", "2020-13-01", "2020-00-01", "2020-12-00", "0 Jan 2020", "00 Jan 2020 1:00 GMT", "13/13/2020",
		"1 Jan 2026 00:00:00 0260", "1 Jan 2026 00:00:00 +-", "1 Jan 2026 00:00:00 +--0500", "1 Jan 2026 version=2.40", strings.Repeat("1 ", 200), "(20 Nov 2026",
	} {
		if got, err := ParseDate(in); !errors.Is(err, ErrBadDate) {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, text := range corpus(t) {
		m, _ := ReadString(text)
		if f, ok := m.Header.First("Date"); ok {
			if got, err := ParseDate(f.Value()); err == nil && (got.Year() < 1969 || got.Year() > 3609) {
				t.Errorf("%q: %v", f.Value(), got)
			}
		}
	}
}

func TestDateFile(t *testing.T) {
	want := []string{"2002-08-29T15:36:58-05:00", "2012-06-12T19:22:28+02:00", "2002-07-19T09:42:07-04:00"}
	for i, line := range lines(t, "dates-odd.txt") {
		if got, err := ParseDate(line); err != nil || i >= len(want) || got.Format(time.RFC3339) != want[i] {
			t.Errorf("%s: %v, %v", line, got, err)
		}
	}
}

func TestMessageIDs(t *testing.T) {
	for in, want := range map[string]string{
		"<a@b>": "a@b", "<a@b> <c@d>\r\n <e@f>": "a@b c@d e@f", "<a@b>,<c@d>": "a@b c@d", "a@b": "a@b", "": "", "no id": "", "Your message of <a@b> (x <no@no>)": "a@b",
		`<"a b>c"@d>`: `"a b>c"@d`, "<a@ b>": "a@b", "<a@b <c@d>": "a@b c@d", "<a@b": "", "<>": "", "(c) <a@b>": "a@b", "<1234   @   local(blah)  .machine .example>": "1234@local.machine.example", "<a(b(c))@d(e)>": "a@d", "<a(b@c>": "a(b@c", "<()>": "", `<"a(b)"@c>`: `"a(b)"@c`, `<"open@b> <c@d>`: `"open@b c@d`, `<"a>b"@c> <"open@b> <c<d@e>`: `"a>b"@c "open@b c d@e`,
	} {
		if got := strings.Join(ParseMessageIDs(in), " "); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for _, s := range []string{"<a@b> ", "<", `<"`, `<\">`, "(", "()<a>", "<a@b>("} {
		ParseMessageIDs(strings.Repeat(s, 300000)) // a quadratic one would take minutes
	}
	for in, want := range map[string]string{
		"Message-ID: <m@x>\r\nReferences: <a@b> <c@d>\r\nIn-Reply-To: <z@z>\r\n\r\n": "a@b c@d m@x",
		"Message-ID: <m@x>\r\nIn-Reply-To: <z@z>\r\n\r\n":                            "z@z m@x",
		"Message-ID: <m@x>\r\nIn-Reply-To: <z@z> <y@y>\r\n\r\n":                      "m@x",
		"A: 1\r\n\r\n": "",
	} {
		m, _ := ReadString(in)
		if got := strings.Join(m.References(), " "); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	m, _ := ReadString("Message-ID: <m@x>\r\n\r\n")
	if m.MessageID() != "m@x" || (&Message{}).MessageID() != "" {
		t.Error("MessageID")
	}
}
