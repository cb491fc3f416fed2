package sink

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A table of queries over the same messages: what each finds, by their numbers.
func TestSearch(t *testing.T) {
	b := NewBox(Limits{}, Sorting{})
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	mails := []struct {
		to   []string
		text string
	}{
		0: {[]string{"bob@example.com"}, "From: Alice <alice@example.com>\r\nTo: bob@example.com\r\nSubject: Your order\r\n\r\nAll is well, 100% done_now a\\b R&D\r\n"},
		1: {[]string{"carol+x@example.com", "hidden@example.com"}, "From: \"Grüße\" <g@example.org>\r\nTo: carol+x@example.com\r\nCc: dave@example.com\r\nReply-To: back@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= your order\r\nMessage-ID: <Abc.1@example.org>\r\nX-Job: Nightly-7\r\n\r\norder\r\n"},
		2: {[]string{"bob@example.com"}, "From: x@y.test\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nonlyintext\r\n--b\r\nContent-Type: text/html\r\n\r\n<style>.hiddenstyle{}</style><p>on<b>ly</b>html</p><p>next</p>\r\n--b--\r\n"},
		3: {[]string{`"odd user"@x.test`}, "From: \"odd user\"@x.test\r\nX-Tags: Red, blue sky\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/pdf; name=\"plan.pdf\"\r\nContent-Disposition: attachment\r\n\r\nabc\r\n--b--\r\n"},
		4: {nil, strings.Repeat("x", 1024)},
	}
	numbers := make(map[string]int)
	for i, m := range mails {
		id := NewID()
		numbers[id] = i
		e := Envelope{From: fmt.Sprintf("return%d@example.net", i), To: m.to, User: fmt.Sprintf("login%d", i), Received: at.Add(time.Duration(i) * time.Hour)}
		if err := b.Put(t.Context(), id, e, []byte(m.text)); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			b.Mark("", true, nil, id)
		}
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		berlin = time.FixedZone("", 3600)
	}
	for _, c := range []struct {
		query string
		want  []int
	}{
		{"", []int{0, 1, 2, 3, 4}},
		{"order", []int{0, 1}}, {"ORDER", []int{0, 1}}, {`"your order"`, []int{0, 1}}, {`"order your"`, nil}, {"order well", []int{0}},
		{"-order", []int{2, 3, 4}}, {"!order", []int{2, 3, 4}}, {"order -from:alice", []int{1}}, {"-", nil},
		{"grüße", []int{1}}, {"GRÜSSE", []int{1}}, {"subject:GRÜSSE", []int{1}},
		{"onlyintext", []int{2}}, {"onlyhtml", []int{2}}, {"hiddenstyle", nil}, {`"onlyhtml next"`, []int{2}},
		{"100%", []int{0}}, {"1%0", nil}, {"done_now", []int{0}}, {"done?now", nil}, {`a\b`, []int{0}}, {"r&d", []int{0}},
		{"from:alice", []int{0}}, {"from:Alice@Example", []int{0}}, {"FROM:alice", []int{0}}, {"to:bob", []int{0}}, {"to:carol+x", []int{1}}, {"to:hidden", nil},
		{"cc:dave", []int{1}}, {"bcc:hidden", []int{1}}, {"reply-to:back", []int{1}}, {"subject:order", []int{0, 1}}, {`subject:"your order"`, []int{0, 1}},
		{"message-id:abc.1", []int{1}}, {"addressed:dave", []int{1}}, {"addressed:hidden", []int{1}}, {"addressed:bob", []int{0, 2}}, {"-to:bob", []int{1, 2, 3, 4}},
		{"from:odd", []int{3}}, {`"odd user"`, []int{3}}, {"rcpt:hidden", []int{1}}, {"login:login3", []int{3}}, {"return2@example.net", []int{2}},
		{"header:x-job=nightly", []int{1}}, {"-header:x-job=nightly", []int{0, 2, 3, 4}},
		{"tag:red", []int{3}}, {`tag:"blue sky"`, []int{3}}, {"tag:blue", nil}, {"-tag:red", []int{0, 1, 2, 4}}, {"tag:x", []int{1}},
		{"is:read", []int{1}}, {"is:unread", []int{0, 2, 3, 4}}, {"-is:read", []int{0, 2, 3, 4}}, {"is:tagged", []int{1, 3}},
		{"has:attachment", []int{3}}, {"has:attachments", []int{3}}, {"has:inline", nil}, {"plan.pdf", []int{3}},
		{"larger:1k", []int{4}}, {"larger:1kb", []int{4}}, {"larger:1024", []int{4}}, {"larger:1025", nil}, {"smaller:1k", []int{0, 1, 2, 3}}, {"-larger:1k", []int{0, 1, 2, 3}}, {"larger:1mb", nil},
		{"after:2026-03-01T14:00:00Z", []int{2, 3, 4}}, {"before:2026-03-01T14:00:00Z", []int{0, 1}}, {"-after:2026-03-01T14:00:00Z", []int{0, 1}},
		{"after:2026-03-01", []int{0, 1, 2, 3, 4}}, {"before:2026-03-01", nil}, {"before:2027", []int{0, 1, 2, 3, 4}}, {`after:"1 Mar 2026"`, []int{0, 1, 2, 3, 4}},
		{"other:order", nil}, {"https://x", nil},
	} {
		s := ParseSearch(c.query, time.UTC)
		if len(s.Bad) > 0 {
			t.Errorf("%q: not understood: %q", c.query, s.Bad)
		}
		var got []int
		for _, m := range b.Find(Query{Search: s, Limit: -1}).Messages {
			got = append(got, numbers[m.ID])
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%q finds %v, not %v", c.query, got, c.want)
		}
	}
	// A day is one of the zone that is asked in: 14:00 UTC is 15:00 there.
	if s := ParseSearch(`after:"2026-03-01 15:00:00"`, berlin); b.Find(Query{Search: s}).Matched != 3 {
		t.Errorf("in Berlin: %d", b.Find(Query{Search: s}).Matched)
	}
	for _, bad := range []string{"before:nonsense", "after:", "larger:x", "smaller:-1", "is:foo", "has:nothing", "header:x"} {
		if s := ParseSearch(bad, time.UTC); len(s.Bad) != 1 {
			t.Errorf("%q is understood", bad)
		}
	}
}

func FuzzSearch(f *testing.F) {
	for _, s := range []string{`a "b c" -d`, `subject:"x y`, "larger:1e999", "after:2026-02-30", "\xff:\x00", `!"`, "-header:=="} {
		f.Add(s)
	}
	b := NewBox(Limits{}, Sorting{})
	put(f, b, "Subject: x\r\n\r\ny\r\n", "a@b.test")
	f.Fuzz(func(t *testing.T, query string) {
		b.Find(Query{Search: ParseSearch(query, time.UTC), Limit: -1})
	})
}

// What stands in a message that is broken in whatever way is in the list, and every text of it is one
// that JSON can hold.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{"", "\r", "Subject: =?utf-8?q?=FF?=\r\n\r\n", "From: \xff\r\nTo: a@b, c\r\nX-Tags: \x00,<\r\n\r\n<p", "Content-Type: text/html; charset=gbk\r\n\r\n\x81"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		m := newMessage("id", Envelope{To: []string{"a@b.test"}, Host: "h.test"}, []byte(raw))
		if m.Size != int64(len(raw)) || len(m.Snippet) > mostShown+3 {
			t.Errorf("%d octets, snippet of %d", m.Size, len(m.Snippet))
		}
		if got := m.Traced([]byte(raw)); !strings.HasSuffix(string(got), raw) {
			t.Error("the octets have changed")
		}
	})
}
