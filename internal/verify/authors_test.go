package verify

import (
	"errors"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// TestAuthorInDisguise: however a stranger writes the address of somebody here into From, or
// where some program shows it instead, his message does not pass for one of the domain.
func TestAuthorInDisguise(t *testing.T) {
	w, signers := newWorld(t)
	v := newVerifier(w, &rules)
	for _, from := range []string{
		"boss@home.test", "boss@home.test.", "boss@home.test..", "boss@home..test", "boss@.home.test", "boss@HOME\u3002test", "boss@ho\u00adme.test", "boss@home\uff0etest", "boss@[home.test]", "boss@home.test:25", "boss@home.test-",
		"<boss@home.test", "<<boss@home.test>>", "x@a.test <boss@home.test>", "=?utf-8?q?boss=40home=2etest?=", "=?utf-8?q?=3Cboss=40home=2etest=3E?=", "boss@=?utf-8?q?home.test?=",
		"g: x@a.test, boss@home.test", "g:;, boss@home.test", "<@a.test:boss@home.test>", "@a.test:boss@home.test", "<boss@home.test@a.test>", "boss@a.test@home.test", "<x@a.test@home.test>",
		"(c boss@home.test", "\"boss@home.test", "x \"y boss@home.test", "\xffboss@home.test", "b\x01oss@home.test", "boss@home.test\x02", "boss@home\x03.test", "x <>boss@home.test", "<> <boss@home.test>", "boss@home.test <>", "boss@home.test <bad>",
		"boss@home.test <x@-bad->", "a@b1.test, a@b2.test, a@b3.test, a@b4.test, boss@home.test", "boss\\@home.test", "[boss@home.test]", "{boss@home.test}", "'boss@home.test'", "boss@home.test!", "boss\uff20home.test", "boss\ufe6bhome.test", "@home.test", ":boss@home.test",
	} {
		for _, header := range []string{"From: " + from, "From : " + from, "from\t:\r\n " + from, "Sender: " + from} {
			found, refused := bring(t, v, signers, mail{from: "x@a.test", header: header})
			if what, _ := outcome(t, found, refused); what != "refused" {
				t.Errorf("%q: %s", header, what)
			}
		}
	}
	for _, header := range []string{
		"From: x@a.test (boss@home.test)", "From: \"boss@home.test\" <x@a.test>", "From: boss@home.test <x@a.test>",
		"From: x@a.test\r\nSender: boss@home.test", "From: boss@home.test.a.test", "From: x@nothome.test, y@@z", "From: undisclosed:;", "Subject: nobody", "From: =?utf-8?q?J=C3=BCrgen?= <x@a.test>",
	} {
		found, refused := bring(t, v, signers, mail{from: "x@a.test", header: header})
		if what, _ := outcome(t, found, refused); what != "taken" {
			t.Errorf("%q: %s, %v", header, what, refused)
		}
	}
}

// TestAuthorBelowJunk: what stands below lines that are no fields, and above the first empty line, is the
// header for many programs.
func TestAuthorBelowJunk(t *testing.T) {
	w, signers := newWorld(t)
	v := newVerifier(w, &rules)
	for header, want := range map[string]string{
		"From: x@a.test\r\njunk\r\njunk\r\nFrom: boss@home.test":                                       "refused",
		"Subject: s\r\njunk\r\njunk\r\nFrom: Boss\r\n <boss@home.test>\r\nTo: x":                       "refused",
		"Subject: s\r\njunk\r\njunk\r\nfrom : boss@home.test":                                          "refused",
		"Subject: s\r\njunk\r\njunk\r\nSender: boss@home.test":                                         "refused",
		"Content-Type: multipart/mixed; boundary=b\r\n--b\r\nFrom: boss@home.test":                     "refused",
		"From: x@a.test\r\njunk\r\njunk\r\nFrom: x@reject.test":                                        "refused",
		"From: x@a.test\r\njunk\r\njunk\r\nSubject: s":                                                 "taken",
		"From: x@a.test\r\njunk\r\njunk\r\n\r\nFrom: boss@home.test":                                   "taken", // that is the body for everybody
		"From: x@a.test\r\n\r\nFrom: boss@home.test":                                                   "taken",
		"Subject: s\r\njunk\r\njunk\r\n" + strings.Repeat("x\r\n", 20000) + "\r\nFrom: boss@home.test": "taken",
	} {
		found, refused := bring(t, v, signers, mail{from: "x@a.test", header: header})
		if what, _ := outcome(t, found, refused); what != want {
			t.Errorf("%.100q: %s, not %s", header, what, want)
		}
	}
}

// TestUnsettledInPieces: it does not matter how the message is cut.
func TestUnsettledInPieces(t *testing.T) {
	header, _, _ := rfc2822.ParseHeader("Subject: s\r\n")
	text := "junk\r\nFROM: a@b\r\n\tc\r\nFrome: x\r\n From: y\r\nFrom: d\n\r\nFrom: e\r\n"
	for size := 1; size <= len(text); size++ {
		u := newUnsettled(&header)
		for rest := text; rest != ""; rest = rest[min(size, len(rest)):] {
			u.Write([]byte(rest[:min(size, len(rest))]))
		}
		var got []string
		for _, f := range u.fields("From") {
			got = append(got, f.Raw())
		}
		if strings.Join(got, "|") != "FROM: a@b\r\n\tc\r\n|From: d\n" {
			t.Errorf("in pieces of %d: %q", size, got)
		}
	}
}

// TestLooseOctets: a CR or LF alone in a header, which comes in binary chunks only, is a line end for
// some programs and none for others, and a NUL is nothing: such a header says two things.
func TestLooseOctets(t *testing.T) {
	w, signers := newWorld(t)
	v := newVerifier(w, &rules)
	for _, header := range []string{
		"From: x@a.test\r\nX: a\rFrom: boss@home.test", "From: x@a.test\nSubject: s", "From: x@a.test\r\nSubject: a\n", "From: x@a.test\r\nX: a\r",
		"From: x@a.test\r\njunk\r\njunk\r\nX: a\rFrom: boss@home.test", "From: x@a.test\r\n\x00From: boss@home.test", "Subject: s\r\nFr\x00om: boss@home.test\r\nTo: x",
	} {
		_, refused := bring(t, v, signers, mail{from: "x@a.test", header: header})
		if refused == nil || refused.Code != 550 || refused.Enhanced != "5.6.0" {
			t.Errorf("%q: %v", header, refused)
		}
	}
}

// TestTooLong: a header that goes on beyond what is looked at is refused, for now where others are as long.
func TestTooLong(t *testing.T) {
	w, _ := newWorld(t)
	v := newVerifier(w, &rules)
	long, _, _ := rfc2822.Peek(strings.NewReader(strings.Repeat("X: y\r\n", 1000)), 1000)
	for busy, code := range map[bool]int{true: 451, false: 552} {
		s := &smtp.Session{}
		s.Set(v, &sender{rules: &rules})
		i := v.Inspect(t.Context(), &post.Look{Envelope: &smtp.Envelope{Session: s}, Header: long, Busy: busy})
		_, err := i.Findings(t.Context())
		_, wrote := i.Write([]byte("x"))
		var reply *smtp.Reply
		if !errors.As(err, &reply) || reply.Code != code || wrote != err {
			t.Errorf("busy %v: %v, %v", busy, err, wrote)
		}
	}
}

// TestManyAuthors: more than anybody could read is not read.
func TestManyAuthors(t *testing.T) {
	w, signers := newWorld(t)
	v := newVerifier(w, &rules)
	for header, code := range map[string]int{
		"From: " + strings.Repeat("x@a.test,\r\n ", 5000) + "y@a.test":                          0,
		"From: " + strings.Repeat("x@a.test,\r\n ", 5500) + "y@a.test":                          552,
		strings.Repeat("From: x@a.test\r\nSender: y@a.test\r\n", 2500) + "Subject: s":           552,
		"From: x@a.test\r\nTo: " + strings.Repeat("someone@somewhere.test,\r\n ", 5000) + "a@b": 0,
	} {
		_, refused := bring(t, v, signers, mail{from: "x@a.test", header: header})
		if (refused != nil) != (code != 0) || refused != nil && refused.Code != code {
			t.Errorf("%.60q of %d octets: %v", header, len(header), refused)
		}
	}
}
