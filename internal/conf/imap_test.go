package conf

import (
	"strings"
	"testing"
)

// TestIMAP: where mail programs are sent for IMAP is a host with a name, and no port of our own.
func TestIMAP(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{`{}`, ""}, {`{"address": ":993"}`, ""}, {`{"address": "imap.example.com:143"}`, ""}, {`{"address": "imap.example.com:25"}`, ""},
		{`{"address": "993"}`, "is not a host with a port"}, {`{"address": ":imaps"}`, "is not a host with a port"}, {`{"address": ":0"}`, "is not a host with a port"},
		{`{"address": "a b:993"}`, "IMAP.address"}, {`{"address": ":25"}`, "port 25 is that of Listeners[0]"}, {`{"address": ":993", "tls": "off"}`, `"off"`},
	} {
		s, err := Load(folder(t, "t.conf", `{"server_name": "mail.example.com", "data_dir": "`+t.TempDir()+`", "Listeners": [{"address": ":25", "protocol": "smtp", "tls": "off"}], "IMAP": `+tt.text+`}`))
		var got strings.Builder
		if err != nil {
			got.WriteString(err.Error())
		} else {
			for _, problem := range s.Check() {
				got.WriteString(problem.Error() + "\n")
			}
		}
		if tt.want == "" && got.Len() > 0 || !strings.Contains(got.String(), tt.want) {
			t.Errorf("%s: got %q, want %q", tt.text, got.String(), tt.want)
		}
	}
	for address, want := range map[string]bool{":993": true, ":143": false, "h:1993": true} {
		if i := (IMAP{Address: address}); i.Secure() != want {
			t.Errorf("%s: TLS first is %v", address, !want)
		}
	}
}
