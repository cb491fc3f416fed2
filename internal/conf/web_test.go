package conf

import (
	"strings"
	"testing"
)

// TestWeb: what cannot be served as it is written is refused, with the place.
func TestWeb(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"off", `"Web": {}`, ""},
		{"here", `"Web": {"listen": "127.0.0.1:8080"}`, ""},
		{"beside mail", `"Web": {"listen": ":25"}`, `Web.listen: ":25" is in use already by Listeners[0]`},
		{"no port", `"Web": {"listen": "127.0.0.1"}`, "is not an address with a port"},
		{"no certificate", `"Web": {"listen": ":443"}, "TLS": {"self_signed": false}`, "Web.tls: there is no certificate"},
		{"plain to all", `"Web": {"listen": ":8080", "tls": "off"}`, ""},
		{"unknown mode", `"Web": {"listen": ":8080", "tls": "starttls"}`, `"starttls"`},
		{"programs without a listener", `"Web": {"autoconfig": true}`, "Web.autoconfig: nothing is served over HTTP"},
		{"the world may look", `"Web": {"listen": ":8080", "status_from": ["0.0.0.0/0"]}`, "anybody could see"},
		{"anybody is a proxy", `"Web": {"listen": ":8080", "proxy_from": ["0.0.0.0/0"]}`, "anybody could claim any address"},
		{"authority on the same port", `"Web": {"listen": ":80", "tls": "off"}, "TLS": {"ACME": {"accept_terms": true}}`, "Web.listen: \":80\" is in use already by TLS.ACME.listen"},
		{"authority through it", `"Web": {"listen": ":443"}, "TLS": {"ACME": {"accept_terms": true, "challenge": "tls-alpn-01"}}`, ""},
		{"more of one than of all", `"Web": {"listen": ":8080", "max_connections": 5, "max_connections_per_address": 6}`, "6 is more than max_connections, 5"},
		{"fewer of all", `"Web": {"listen": ":8080", "max_connections": 5}`, ""},
		{"users may nothing", `"Web": {"user_may": []}`, ""},
		{"users may what there is not", `"Web": {"user_may": ["password", "forwards"]}`, `Web.user_may[1]: "forwards"`},
		{"mail is shown", `"Web": {"listen": "127.0.0.1:8080", "viewer": true}`, ""},
		{"mail is shown nowhere", `"Web": {"viewer": true}`, "Web.viewer: nothing is served over HTTP"},
		{"mail is shown to others", `"Web": {"listen": ":8080", "viewer": true}`, "Web.viewer: mail is shown to programs of this host alone"},
		{"bad name", `"Web": {"listen": ":8080", "names": ["a b"]}`, "Web.names[0]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Load(folder(t, "t.conf", `{"server_name": "mail.example.com", "data_dir": "`+t.TempDir()+`", "Listeners": [{"address": ":25", "protocol": "smtp", "tls": "off"}], `+tt.text+`}`))
			if err != nil {
				if tt.want == "" || !strings.Contains(err.Error(), tt.want) {
					t.Fatal(err)
				}
				return
			}
			var got strings.Builder
			for _, problem := range s.Check() {
				got.WriteString(problem.Error() + "\n")
			}
			if tt.want == "" && got.Len() > 0 || !strings.Contains(got.String(), tt.want) {
				t.Errorf("got %q, want %q", got.String(), tt.want)
			}
		})
	}
}

func TestWebTLS(t *testing.T) {
	for listen, secure := range map[string]bool{"127.0.0.1:8080": false, "[::1]:8080": false, ":443": true, "192.0.2.1:8080": true} {
		s, err := Load(folder(t, "t.conf", `{"server_name": "mail.example.com", "Web": {"listen": "`+listen+`"}}`))
		if err != nil {
			t.Fatal(err)
		}
		if s.Web.Secure() != secure {
			t.Errorf("%s: HTTPS is %v", listen, s.Web.Secure())
		}
	}
}

// TestSharesALPN: the authority comes to the listener for HTTPS where both are on one port, and it asks over TLS.
func TestSharesALPN(t *testing.T) {
	for _, tt := range []struct {
		web, mode, challenge, acme string
		terms, want                bool
	}{
		{":443", "", ChallengeALPN, ":443", true, true},
		{":443", "", ChallengeALPN, ":443", false, false},
		{":443", "", "http-01", ":443", true, false},
		{":8443", "", ChallengeALPN, ":443", true, false},
		{":443", "off", ChallengeALPN, ":443", true, false},
		{"", "", ChallengeALPN, ":443", true, false},
	} {
		s := New()
		s.Web.Listen, s.Web.TLS = tt.web, tt.mode
		s.Web.complete()
		s.TLS.ACME.AcceptTerms, s.TLS.ACME.Challenge, s.TLS.ACME.Listen = tt.terms, tt.challenge, tt.acme
		if got := s.SharesALPN(); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

// TestWebNames: the server's own name is the first of those by which this host is asked, all in one form.
func TestWebNames(t *testing.T) {
	s := New()
	s.ServerName, s.Web.Names = "Mail.Example.com", []string{"WWW.example.com.", "status.example.com"}
	if got := strings.Join(s.WebNames(), " "); got != "mail.example.com www.example.com status.example.com" {
		t.Error(got)
	}
}
