package rfc2822

import (
	"strings"
	"testing"
)

func TestParseMediaType(t *testing.T) {
	tests := []struct{ in, kind, params string }{
		{"text/plain", "text/plain", ""},
		{"Text/HTML; Charset=UTF-8", "text/html", "charset=UTF-8"},
		{"text/plain; charset=\"utf-8\" (comment); format=flowed", "text/plain", "charset=utf-8 format=flowed"},
		{"text/plain; charset=utf-8 (comment)", "text/plain", "charset=utf-8"},
		{"(c) text/plain (c) ; (c) a=b", "text/plain", "a=b"},
		{"a/b; name=with blanks; x=1", "a/b", "name=with blanks x=1"},
		{`a/b; name="a \"q\" C:\dir"; x=1`, "a/b", `name=a "q" C:\dir x=1`},
		{`a/b; name="open; x=1`, "a/b", "name=open x=1"},
		{`a/b; name="open`, "a/b", "name=open"},
		{"a/b;;; ; x=1;", "a/b", "x=1"},
		{"a/b; x=1; X=2", "a/b", "x=1"},
		{"a/b; flag; x=1; last", "a/b", "x=1"},
		{"a/b; name*=utf-8''%e2%82%ac%20r", "a/b", "name=€ r"},
		{"a/b; name*0*=utf-8''%e2%82; name*1*=%ac; name*2=\" r\"", "a/b", "name=€ r"},
		{"a/b; name*1=b; name*0=a; name*1=c", "a/b", "name=ab"},
		{"a/b; name=plain; name*=utf-8''ext", "a/b", "name=ext"},
		{"a/b; name*=iso-8859-1'de'%fc", "a/b", "name=ü"},
		{"a/b; name*=klingon''a%ff", "a/b", "name=aÿ"},
		{"a/b; name*=koi8-r''%d0%cf%de%d4%c1.txt", "a/b", "name=почта.txt"},
		{"a/b; name*=us-ascii''caf%C3%A9", "a/b", "name=café"},
		{"a/b; name*=no-quotes", "a/b", "name=no-quotes"},
		{"a/b; name*x=1; *=2", "a/b", "*=2 name*x=1"},
		{"a/b; name==?utf-8?q?=C3=BC?=", "a/b", "name=ü"},
		{`a/b; name="=?utf-8?q?=C3=BC?="`, "a/b", "name=ü"},
		{"a/b; name=\xfc", "a/b", "name=ü"},
		{"a/b x=1", "a/b", "x=1"},
		{"a/b; foo charset=x", "a/b", "charset=x"},
		{"charset=utf-8", "", "charset=utf-8"},
		{"", "", ""},
		{`a/b; boundary="=?utf-8?q?a?="; name="=?utf-8?q?a?="`, "a/b", "boundary==?utf-8?q?a?= name=a"},
		{"a/b; boundary=\xff", "a/b", "boundary=\xff"},
		{"a/b; x=1%zz; y*=%4", "a/b", "x=1%zz y=%4"},
		{"multipart / mixed; x=1", "multipart/mixed", "x=1"},
		{"text /plain", "text/plain", ""},
		{"text/ plain;x=1", "text/plain", "x=1"},
		{"(c) text (x) / (y) plain (z)", "text/plain", ""},
		{"text(x)/plain(y);x=1", "text/plain", "x=1"},
		{`"text/plain"; x=1`, "text/plain", "x=1"},
		{"text/plain, x=1", "text/plain", "x=1"},
		{"text/plain,x=1,y=2", "text/plain", "x=1,y=2"},
		{"/plain; x=1", "", "x=1"},
		{"text/; x=1", "", "x=1"},
		{"text/plain>; x=1", "text/plain", "x=1"},
		{"<text/plain>", "", ""},
		{"text/pl\xc3\xa4in", "text/pl", ""},
		{"text/plain/extra; x=1", "text/plain", "x=1"},
		{"text; x=1", "text", "x=1"},
		{" attachment ; name=a", "attachment", "name=a"},
		{"x = 1; y=2", "", "x=1 y=2"},
		{`a/b; charset=utf-8 boundary="b1"`, "a/b", "boundary=b1 charset=utf-8"},
		{"a/b; charset=utf-8\tboundary=b1 format=flowed; x=1", "a/b", "boundary=b1 charset=utf-8 format=flowed x=1"},
		{`a/b; charset="utf-8" boundary=b1`, "a/b", "boundary=b1 charset=utf-8"},
		{"a/b; name=2 + 2 = 4.pdf; x=1", "a/b", "name=2 + 2 = 4.pdf x=1"},
		{"a/b; name=a=b c", "a/b", "name=a=b c"},
		{"a/b; name==?utf-8?b?w7w=?= =?utf-8?b?w7w=?=; x=1", "a/b", "name=üü x=1"},
		{"a/b; boundary=b1(comment)", "a/b", "boundary=b1"},
		{"a/b; charset=utf-8(c); x=1", "a/b", "charset=utf-8 x=1"},
		{"a/b; name=file(1)", "a/b", "name=file(1)"},
		{"a/b; name=file(1).txt (c)", "a/b", "name=file(1).txt (c)"},
		{"a/b; name=file (c)", "a/b", "name=file"},
		{"a/b; boundary=(c)", "a/b", "boundary="},
		// As RFC 2231 §4.1 prints it, without semicolons.
		{"a/b\r\n name*0*=us-ascii'en'This%20is%20even%20more%20\r\n name*1*=%2A%2A%2Afun%2A%2A%2A%20\r\n name*2=\"isn't it!\"", "a/b", "name=This is even more ***fun*** isn't it!"},
		{"a/b; name*0=a; name*1=b; name*3=d", "a/b", "name=ab"},
		{"a/b; name*2=c; name*0=a", "a/b", "name=a"},
		{"a/b; name*1=b; name*2=c", "a/b", "name=bc"},
		{"a/b; name*0=a; name*9223372036854775807=z", "a/b", "name=a"},
	}
	for _, tt := range tests {
		kind, params, ok := ParseMediaType(tt.in)
		var list []string
		for _, k := range []string{"*", "a", "boundary", "charset", "format", "name", "name*x", "x", "y"} {
			if v, ok := params[k]; ok {
				list = append(list, k+"="+v)
			}
		}
		if kind != tt.kind || strings.Join(list, " ") != tt.params || ok != (tt.kind != "") {
			t.Errorf("%q: %q %q, want %q %q", tt.in, kind, list, tt.kind, tt.params)
		}
	}
	for _, s := range []string{";a=b", ";", `;a="`, "(", ";a=(", ";a*0*=x", "\\\"", " a=", " / ", "(x)/", "=", ",a=b ", " a*=b"} {
		ParseMediaType("a/b" + strings.Repeat(s, 100000)) // a quadratic one would take minutes
	}
}
