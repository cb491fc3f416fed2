package dkim

import (
	"strings"
	"testing"
)

// awkward are messages whose signatures others have broken: by refolding, requoting, converting,
// completing. Here they are signed as they are.
func awkward() map[string]string {
	head := "From: Alice <alice@example.com>\r\nTo: bob@example.net\r\nSubject: Hello\r\nDate: Mon, 30 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n"
	with := func(field string) string { return head + field + "\r\n\r\nHello.\r\n" }
	from := func(value string) string {
		return strings.Replace(head, "From: Alice <alice@example.com>", "From: "+value, 1) + "\r\nHello.\r\n"
	}
	body := func(b string) string { return head + "\r\n" + b }
	long := func(n int) string { return strings.Repeat("x", n) }
	refs := strings.Repeat(" <0123456789.0123456789@example.com>", 84)
	return map[string]string{
		"apostrophe in a bare name":     from("Conan O'Brien <alice@example.com>"),
		"dot in a bare name":            from("Alice B. Carroll <alice@example.com>"),
		"raw UTF-8 name":                from("Ålice Ünïcode <alice@example.com>"),
		"raw Latin-1 name":              from("\xc5lice <alice@example.com>"),
		"encoded word":                  from("=?utf-8?q?=C3=85lice?= <alice@example.com>"),
		"encoded word over two lines":   from("=?utf-8?q?=C3=85?=\r\n =?utf-8?q?lice?= <alice@example.com>"),
		"comment in From":               from("alice@example.com (Alice \\) \"x\")"),
		"quoted name with at sign":      from("\"bob@example.org\" <alice@example.com>"),
		"two authors":                   from("alice@example.com, carol@example.com"),
		"From folded after the colon":   from("\r\n Alice <alice@example.com>"),
		"References of 3,000 octets":    with("References:" + refs),
		"References, folded by tabs":    with("References:" + strings.ReplaceAll(refs, " <", "\r\n\t<")),
		"fold with trailing blanks":     with("In-Reply-To: <1@example.com> \t\r\n  <2@example.com>  "),
		"fold of blanks only":           with("Content-Type: text/plain;\r\n \r\n charset=utf-8"),
		"field of 998 octets":           with("References: " + long(986)),
		"field of 999 octets":           with("References: " + long(987)),
		"empty field":                   with("Reply-To:"),
		"empty field with blank":        with("Reply-To: "),
		"no blank after the colon":      with("Reply-To:carol@example.com"),
		"blanks before the colon":       with("Reply-To \t: carol@example.com"),
		"name in capitals":              with("MIME-VERSION: 1.0"),
		"name in small letters":         with("mime-version: 1.0"),
		"field twice":                   with("Cc: a@example.net\r\nCc: b@example.net"),
		"field three times":             with("Sender: a@example.net\r\nSender: b@example.net\r\nSender: c@example.net"),
		"semicolons and equals":         with("Content-Disposition: inline; b=1; bh=2;; filename=\"b=;\""),
		"list fields":                   with("List-Id: <l.example.com>\r\nList-Unsubscribe: <https://example.com/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click"),
		"old signature of another":      with("DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=x; h=From; bh=; b="),
		"line of 998 octets":            body(long(998) + "\r\n"),
		"line of 999 octets":            body(long(999) + "\r\n"),
		"line of 5,000 octets":          body(long(5000) + "\r\n"),
		"line with blanks, 5,000 long":  body(strings.Repeat("x ", 2500) + "\r\n"),
		"blanks before line ends":       body("one \r\ntwo\t \r\n \r\nthree  four\r\n"),
		"blanks only":                   body(" \t \r\n"),
		"format=flowed":                 body("> one \r\n> two \r\n-- \r\nalice\r\n"),
		"empty body":                    body(""),
		"only a line end":               body("\r\n"),
		"only line ends":                body(strings.Repeat("\r\n", 3000)),
		"line ends at the end":          body("one" + strings.Repeat("\r\n", 3000)),
		"line ends within":              body("one" + strings.Repeat("\r\n", 3000) + "two\r\n"),
		"no line end at the end":        body("one\r\ntwo"),
		"blank at the end":              body("one\r\ntwo "),
		"dots":                          body(".\r\n..\r\n.x\r\n"),
		"From at a line's beginning":    body("From here\r\n>From there\r\n"),
		"8-bit text":                    body("Grüße\xff\xfe\r\n"),
		"header only":                   strings.TrimSuffix(head, "\r\n") + "\r\n",
		"no Date":                       strings.Replace(head, "Date:", "X-Date:", 1) + "\r\nHello.\r\n",
		"no Message-ID":                 strings.Replace(head, "Message-ID:", "X-ID:", 1) + "\r\nHello.\r\n",
		"no To, no Subject":             "From: alice@example.com\r\n\r\nHello.\r\n",
		"mixed line ends (not by SMTP)": body("one\ntwo\r\nthree\rfour\n\r\n\n"),
		"NUL (not by SMTP)":             body("one\x00two\r\n"),
	}
}

// TestAwkward: whatever a message looks like, it is signed as it is, and verified in pieces of any size.
func TestAwkward(t *testing.T) {
	s := &Signer{Domain: "example.com", Keys: testKeys()}
	v := &Verifier{Resolver: published(t, s)}
	if n := len(awkward()); n < 40 {
		t.Errorf("%d messages", n)
	}
	for name, m := range awkward() {
		for _, piece := range []int{1, 3, 4096, 1 << 20} {
			top := signed(t, s, m, piece)
			if !strings.HasSuffix(top, m) {
				t.Errorf("%s: the message changed", name)
			}
			for _, p := range []int{1, 2, 7, 4096} {
				if r := verify(v, top, p); len(r) < 2 || r[0].Status != Pass || r[1].Status != Pass {
					t.Errorf("%s in pieces of %d and %d: %+v", name, piece, p, r)
				}
			}
		}
	}
}

// TestCompleted: a server on the way may add the Date and the Message-ID that a message lacks, and
// nothing else that is oversigned.
func TestCompleted(t *testing.T) {
	s, v, _ := setup(t, 1)
	m := signed(t, s, "From: alice@example.com\r\n\r\nHello.\r\n", 100)
	for field, want := range map[string]Status{
		"Received: from a": Pass, "X-Spam-Status: No": Pass, "Sender: list@example.org": Pass,
		"Date: Mon, 30 Nov 2026 10:00:00 +0000": Pass, "Message-ID: <2@example.com>": Pass,
		"From: eve@example.org": Fail, "To: bob@example.net": Fail, "Cc: bob@example.net": Fail, "Subject: Hello": Fail,
		"Reply-To: eve@example.org": Fail, "Content-Type: text/html": Fail, "MIME-Version: 1.0": Fail,
	} {
		for _, changed := range []string{field + "\r\n" + m, strings.Replace(m, "\r\n\r\n", "\r\n"+field+"\r\n\r\n", 1)} {
			if r := verify(v, changed, 100); r[0].Status != want {
				t.Errorf("%s added: %s", field, r[0].Status)
			}
		}
	}
	m = signed(t, s, simpleMessage, 100)
	for _, field := range []string{"Date: Mon, 30 Nov 2026 11:00:00 +0000", "Message-ID: <2@example.com>", "from: eve@example.org", "SUBJECT : x"} {
		if r := verify(v, field+"\r\n"+m, 100); r[0].Status != Fail {
			t.Errorf("a second %s: %s", field, r[0].Status)
		}
	}
}

// TestSignaturesSigned: a signature may sign those below it, and never itself.
func TestSignaturesSigned(t *testing.T) {
	s, v, _ := setup(t, 1)
	m := signed(t, s, simpleMessage, 100)
	s = &Signer{Domain: s.Domain, Keys: s.Keys, Fields: []string{"From", "DKIM-Signature"}, Oversigned: []string{"From", "DKIM-Signature"}}
	m = signed(t, s, m, 100)
	if r := verify(v, m, 100); statuses(r) != "pass,pass" {
		t.Errorf("%+v", r)
	}
	i := strings.LastIndex(m, "b=") + 2
	if r := verify(v, m[:i]+"AAAA"+m[i+4:], 100); statuses(r) != "fail,fail" {
		t.Errorf("%+v", r)
	}
}
