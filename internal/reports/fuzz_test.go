package reports

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzMessage: whatever comes by mail, reading it ends with reports within their bounds, a
// reason or both, and the same each time; what is kept is read back as it was.
func FuzzMessage(f *testing.F) {
	for _, name := range []string{"rfc9990.xml", "rfc7489.xml", "wrapped.xml", "bare.xml", "tls.json", "tls-odd.json"} {
		data := sample(f, name)
		f.Add(one(data, "text/xml", "r.xml"))
		f.Add(one(gz(data), "application/gzip", "r.gz"))
		f.Add(one(zipped(data, gz(data)), "application/zip", "r.zip"))
	}
	f.Fuzz(func(t *testing.T, mail []byte) {
		first := checkMessage(t, readBytes(t, mail))
		if again := checkMessage(t, readBytes(t, mail)); again != first {
			t.Errorf("read twice:\n%s\n%s", first, again)
		}
	})
}

// FuzzDocument is FuzzMessage for what is attached.
func FuzzDocument(f *testing.F) {
	for _, name := range []string{"rfc9990.xml", "rfc7489.xml", "wrapped.xml", "bare.xml", "tls.json", "tls-odd.json"} {
		data := sample(f, name)
		f.Add(data)
		f.Add(gz(data))
		f.Add(zipped(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		u := &unpacker{left: maxUnpacked}
		err := u.read(bytes.NewReader(data), 0)
		if err == nil && len(u.found) == 0 {
			t.Error("neither a report nor a reason")
		}
		checkMessage(t, &message{reports: u.found, err: err})
	})
}

// checkMessage says what a message came to, as it would be kept.
func checkMessage(t *testing.T, m *message) string {
	t.Helper()
	var b strings.Builder
	if m.bounced == nil && m.err == nil && len(m.reports) == 0 {
		t.Error("neither a report nor a reason")
	}
	if m.err != nil {
		if strings.Contains(m.err.Error(), "the reader failed") {
			t.Error(m.err)
		}
		b.WriteString(reason(m.err))
	}
	for _, r := range m.reports {
		if len(r.Rows) > maxRows || len(r.Sessions) > maxRows {
			t.Errorf("%d rows, %d sessions", len(r.Rows), len(r.Sessions))
		}
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.Valid(data) || bytes.ContainsAny(data, "\x1b\n\r") {
			t.Errorf("kept as %q", data)
		}
		var back Report
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(&back)
		if err != nil || !bytes.Equal(again, data) || back.key() != r.key() {
			t.Errorf("read back:\n%s\n%s", data, again)
		}
		for _, row := range r.Rows {
			if row.Count < 0 || len(row.From) > 4*maxText+4 {
				t.Errorf("%+v", row)
			}
		}
		b.Write(data)
	}
	_, _ = io.WriteString(&b, m.sender)
	return b.String()
}
