package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParseSendmail(t *testing.T) {
	for _, c := range []struct {
		line string
		want sendmailFlags
		to   []string
		err  string
	}{
		{line: "a@b c@d", to: []string{"a@b", "c@d"}},
		{line: "-t -i", want: sendmailFlags{fromHeader: true, ignoreDots: true}},
		{line: "-ti", want: sendmailFlags{fromHeader: true, ignoreDots: true}},
		{line: "-t -oi -f x@y", want: sendmailFlags{fromHeader: true, ignoreDots: true, from: "x@y"}},
		{line: "-fx@y -- -odd", want: sendmailFlags{from: "x@y"}, to: []string{"-odd"}},
		{line: "-odi -oem -v -bm -q5m a@b", want: sendmailFlags{flush: true}, to: []string{"a@b"}},
		{line: "-FCronDaemon -i -N never root", want: sendmailFlags{fullName: "CronDaemon", ignoreDots: true, notify: "never"}, to: []string{"root"}},
		{line: "-R hdrs -Vid1 -N success,delay a@b", want: sendmailFlags{ret: "hdrs", envelopeID: "id1", notify: "success,delay"}, to: []string{"a@b"}},
		{line: "-bs", want: sendmailFlags{smtpOnStdio: true}},
		{line: "-bd", err: "-bd is not supported"},
		{line: "-f", err: "-f needs a value"},
		{line: "-z", err: "unknown flag -z"},
	} {
		f, to, err := parseSendmail(strings.Fields(c.line))
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%s: error %v, want %s", c.line, err, c.err)
			}
			continue
		}
		if err != nil || f != c.want || !slices.Equal(to, c.to) {
			t.Errorf("%s: %+v %v %v", c.line, f, to, err)
		}
	}
}

func TestSendmail(t *testing.T) {
	w := newWorld(t)
	socket := filepath.Join(w.dir, "data", "control.sock")
	sendmail := func(stdin string, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		code := run(append([]string{"sendmail", "--socket", socket}, args...), strings.NewReader(stdin), &out, &errs)
		if code != 0 {
			t.Fatalf("sendmail %v: code %d, %s\n%s", args, code, errs.String(), tail(w.log))
		}
		return out.String()
	}
	sendmail("To: bob@mail.test\nBcc: alice@mail.test\nFrom: Alice <alice@mail.test>\nSubject: one\n\n.dot\nbody\n", "-t", "-i", "-f", "alice@mail.test")
	got := w.fetchAll("bob@mail.test")
	if len(got) != 1 || strings.Contains(got[0], "Bcc") ||
		!strings.HasPrefix(got[0], "Return-Path: <alice@mail.test>\r\nReceived: by mail.test with local") ||
		!strings.HasSuffix(got[0], "\r\nTo: bob@mail.test\r\nFrom: Alice <alice@mail.test>\r\nSubject: one\r\n\r\n.dot\r\nbody\r\n") {
		t.Errorf("bob got %q", got)
	}
	if got := w.fetchAll(user); len(got) != 1 {
		t.Errorf("the blind copy: %q", got)
	}

	sendmail("Subject: two\n\nbody\n.\nnot part of it\n", "bob@mail.test")
	if got := w.fetchAll("bob@mail.test"); len(got) != 1 || !strings.HasSuffix(got[0], "\r\n\r\nbody\r\n") || strings.Count(got[0], "\r\nFrom: ") != 1 {
		t.Errorf("bob got %q", got)
	}

	out := sendmail("EHLO me\r\nMAIL FROM:<alice@mail.test>\r\nRCPT TO:<bob@mail.test>\r\nDATA\r\nSubject: three\r\n\r\nx\r\n.\r\nQUIT\r\n", "-bs")
	if !strings.Contains(out, "250 2.0.0") || !strings.Contains(out, "221 ") {
		t.Errorf("-bs said %q", out)
	}
	if got := w.fetchAll("bob@mail.test"); len(got) != 1 {
		t.Errorf("bob got %q", got)
	}

	var errs bytes.Buffer
	if code := run([]string{"sendmail", "--socket", socket, "nobody@mail.test"}, strings.NewReader("x\n"), &errs, &errs); code != exitNoUser || !strings.Contains(errs.String(), "No such user") {
		t.Errorf("to nobody: code %d, %s", code, errs.String())
	}
	if code := run([]string{"sendmail", "--socket", socket + "x", "bob@mail.test"}, strings.NewReader("x\n"), &errs, &errs); code != exitTryLater || !strings.Contains(errs.String(), "no daemon") {
		t.Errorf("without a daemon: code %d, %s", code, errs.String())
	}
}
