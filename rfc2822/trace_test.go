package rfc2822

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var when = time.Date(2026, 11, 20, 9, 5, 1, 0, time.FixedZone("", 3600))

func TestReceived(t *testing.T) {
	ip, ip6 := netip.MustParseAddr("192.0.2.25"), netip.MustParseAddr("2001:db8::1")
	const by, end = "by mx.example.org", ";\r\n\tFri, 20 Nov 2026 09:05:01 +0100\r\n"
	tests := []struct {
		r    Received
		want string
	}{
		{Received{From: "helo.example.com", FromIP: ip, FromRDNS: "mx1.example.com", By: "mx.example.org", With: "ESMTPS", TLS: "TLS1.3 TLS_AES_128_GCM_SHA256", ID: "abc123", For: "u@example.org", Date: when},
			"Received: from helo.example.com (mx1.example.com [192.0.2.25])\r\n\t" + by + " with ESMTPS (TLS1.3 TLS_AES_128_GCM_SHA256)\r\n\tid abc123\r\n\tfor <u@example.org>" + end},
		{Received{From: "[192.0.2.25]", FromIP: ip, By: "mx.example.org", With: "SMTP", Date: when},
			"Received: from [192.0.2.25] ([192.0.2.25])\r\n\t" + by + " with SMTP" + end},
		{Received{From: "bücher.example", FromIP: ip6, By: "mx.example.org", With: "UTF8SMTP", Date: when},
			"Received: from bücher.example ([IPv6:2001:db8::1])\r\n\t" + by + " with UTF8SMTP" + end},
		{Received{By: "mx.example.org", With: "LMTP", ID: "<x@y>", Date: when}, "Received: by mx.example.org with LMTP\r\n\tid <x@y>" + end},
		{Received{From: "local", By: "mx.example.org", Via: "socket", Date: when}, "Received: from local\r\n\t" + by + " via socket" + end},
		{Received{Date: when}, "Received: by unknown" + end},
		// What strangers send.
		{Received{From: "evil\rX-Evil: 1\n y", FromIP: ip, By: "mx.example.org", Date: when},
			"Received: from [192.0.2.25] ([192.0.2.25])\r\n\t(HELO evil?X-Evil: 1? y)\r\n\t" + by + end},
		{Received{From: "a) by forged (", By: "mx.example.org", Date: when}, "Received: from unknown\r\n\t(HELO a? by forged ?)\r\n\t" + by + end},
		{Received{FromIP: ip, FromRDNS: "x)\r\nA: b", By: "mx.example.org", With: "E S;M\r\nTP", TLS: "a\r\nb)", ID: "x y;\r\nz", For: "a@b>\r\nX: 1", Date: when},
			"Received: from [192.0.2.25] ([192.0.2.25])\r\n\t" + by + " with ESMTP (a??b?)\r\n\tid xyz" + end},
		{Received{By: "mx.example.org", ID: "<bad id>", For: `"quoted local"@example.org`, Date: when}, "Received: " + by + "\r\n\tfor <\"quoted local\"@example.org>" + end},
		{Received{By: "mx.example.org", For: `"open@example.org`, Date: when}, "Received: " + by + end},
		{Received{By: ".mx", From: strings.Repeat("a", 300), Date: when}, "Received: from unknown\r\n\t(HELO " + strings.Repeat("a", 200) + ")\r\n\tby unknown" + end},
	}
	for _, tt := range tests {
		if got := tt.r.String(); got != tt.want {
			t.Errorf("%+v:\n%q\nwant\n%q", tt.r, got, tt.want)
		}
		s, n, defects := ParseHeader(tt.r.String())
		if s.Len() != 1 || n != len(tt.want) || len(defects) != 0 {
			t.Errorf("%q is not one clean field: %v", tt.r.String(), defects)
		}
	}
}

func TestReceivedRoundTrip(t *testing.T) {
	want := Received{From: "helo.example.com", FromIP: netip.MustParseAddr("2001:db8::25"), FromRDNS: "mx1.example.com", By: "mx.example.org", Via: "tunnel",
		With: "ESMTPSA", TLS: "TLS1.3 TLS_AES_128_GCM_SHA256", ID: "abc", For: "u@example.org", Date: when}
	got, ok := ParseReceived(want.Field().Value())
	if !ok || !got.Date.Equal(want.Date) {
		t.Fatalf("%+v", got)
	}
	got.Date = want.Date
	if got != want {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

func TestParseReceived(t *testing.T) {
	tests := []struct {
		in                      string
		from, ip, rdns, by      string
		with, id, rcpt, tls, at string
	}{
		{"from mail-wr1.google.com (mail-wr1.google.com. [209.85.221.41]) by mx.google.com with SMTPS id k5sor1 for <a@gmail.com> (Google Transport Security); Mon, 02 Nov 2020 08:00:00 -0800 (PST)",
			"mail-wr1.google.com", "209.85.221.41", "mail-wr1.google.com", "mx.google.com", "SMTPS", "k5sor1", "a@gmail.com", "", "2020-11-02T08:00:00-08:00"},
		{"from foo (bar.example [192.0.2.1]) (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)) (No client certificate requested) by mx (Postfix) with ESMTPS id ABC for <u@x>; Tue, 3 Nov 2020 10:00:00 +0100 (CET)",
			"foo", "192.0.2.1", "bar.example", "mx", "ESMTPS", "ABC", "u@x", "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)", "2020-11-03T10:00:00+01:00"},
		{"by 10.0.0.1 with SMTP id x; Tue, 3 Nov 2020 10:00:00 GMT", "", "", "", "10.0.0.1", "SMTP", "x", "", "", "2020-11-03T10:00:00Z"},
		{"from unknown (HELO foo) (192.0.2.9) by 0 with SMTP; 3 Nov 2020 10:00:00 -0000", "foo", "192.0.2.9", "", "0", "SMTP", "", "", "", "2020-11-03T10:00:00Z"},
		{"from [IPv6:2001:db8::9] by x with ESMTP (TLS1.2:ECDHE); bad date", "[IPv6:2001:db8::9]", "2001:db8::9", "", "x", "ESMTP", "", "", "TLS1.2:ECDHE", ""},
		{"from a (x; y) by b (c; d) with SMTP; 3 Nov 2020 10:00:00 GMT (a; comment)", "a", "", "", "b", "SMTP", "", "", "", "2020-11-03T10:00:00Z"},
		{"from a by b (open; 3 Nov 2020 10:00:00 GMT", "a", "", "", "b", "", "", "", "", "2020-11-03T10:00:00Z"},
		{"(qmail 123 invoked by uid 0); 3 Nov 2020 10:00:00 -0000", "", "", "", "", "", "", "", "", "2020-11-03T10:00:00Z"},
		{"from a (b (c) unclosed by x", "a", "", "", "", "", "", "", "", ""},
		{"", "", "", "", "", "", "", "", "", ""},
	}
	for _, tt := range tests {
		r, ok := ParseReceived(tt.in)
		ip, at := "", ""
		if r.FromIP.IsValid() {
			ip = r.FromIP.String()
		}
		if !r.Date.IsZero() {
			at = r.Date.Format(time.RFC3339)
		}
		got := []string{r.From, ip, r.FromRDNS, r.By, r.With, r.ID, r.For, r.TLS, at}
		want := []string{tt.from, tt.ip, tt.rdns, tt.by, tt.with, tt.id, tt.rcpt, tt.tls, tt.at}
		if ok != (tt.in != "") || strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%s:\n%q\nwant\n%q (%v)", tt.in, got, want, ok)
		}
	}
}

func TestReturnPath(t *testing.T) {
	for in, want := range map[string]string{
		"": "Return-Path: <>\r\n", "a@b": "Return-Path: <a@b>\r\n", `"a b"@c`: "Return-Path: <\"a b\"@c>\r\n", "grüße@bücher": "Return-Path: <grüße@bücher>\r\n",
	} {
		f, err := ReturnPath(in)
		if err != nil || f.Raw() != want {
			t.Errorf("%q: %q, %v", in, f.Raw(), err)
		}
	}
	for _, in := range []string{"a@b\r\nX: 1", "a>b", "a b@c", "\xff@b", strings.Repeat("a", 700), `"\` + "\n" + `"@b`} {
		if f, err := ReturnPath(in); !errors.Is(err, ErrBadValue) {
			t.Errorf("%q: %q, %v", in, f.Raw(), err)
		}
	}
}

func TestDateAndMessageID(t *testing.T) {
	if got := DateField(when).Raw(); got != "Date: Fri, 20 Nov 2026 09:05:01 +0100\r\n" {
		t.Error(got)
	}
	a, b := NewMessageID("mx.example.org", when), NewMessageID("mx.example.org", when)
	if a == b || !strings.HasPrefix(a, "<") || !strings.HasSuffix(a, "@mx.example.org>") {
		t.Error(a, b)
	}
	if id := NewMessageID("bad host\r\n", when); !strings.HasSuffix(id, "@localhost>") {
		t.Error(id)
	}
	f := MessageIDField("mx.example.org", when)
	if ids := ParseMessageIDs(f.Value()); len(ids) != 1 || !f.Is("Message-ID") {
		t.Errorf("%q: %v", f.Raw(), ids)
	}
}
