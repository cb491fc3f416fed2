package rfc2822

import (
	"fmt"
	"testing"
)

// TestIsAttachment: what a reader shows as a file, and what as text, by what a part says of itself.
func TestIsAttachment(t *testing.T) {
	for header, want := range map[string]bool{
		"":                                     false,
		"Content-Type: text/plain":             false,
		"Content-Type: text/html":              false,
		"Content-Type: text/plain; name=a.txt": true,
		"Content-Disposition: inline":          false,
		"Content-Disposition: inline; filename=a.txt":                         false,
		"Content-Type: text/html; name=a.html\r\nContent-Disposition: inline": false,
		"Content-Disposition: attachment":                                     true,
		"Content-Disposition: attachment; filename=a.txt":                     true,
		"Content-Type: text/html\r\nContent-Disposition: ATTACHMENT":          true,
		"Content-Type: text/calendar":                                         true,
		"Content-Type: image/png\r\nContent-Disposition: inline":              true,
		"Content-Type: application/octet-stream":                              true,
	} {
		if header != "" {
			header += "\r\n"
		}
		m, err := ReadString(fmt.Sprintf("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n%s\r\nneedle\r\n--b--\r\n", header))
		if err != nil {
			t.Fatal(err)
		}
		c, err := m.Content(Limits{}, 0)
		if got := len(c.Attachments) == 1; err != nil || got != want || got == (c.Text+c.HTML != "") {
			t.Errorf("%q: attachment %v, text %q %q, %v", header, got, c.Text, c.HTML, err)
		}
	}
}
