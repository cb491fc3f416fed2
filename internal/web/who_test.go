package web

import (
	"net/http"
	"net/netip"
	"testing"
)

// TestOriginal: the client is the last whom a web server of ours names that is none of them; where all are, the farthest.
func TestOriginal(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		header http.Header
		want   string // empty: nobody
	}{
		{http.Header{}, "10.0.0.1"},
		{http.Header{"X-Forwarded-For": {"192.0.2.7"}}, "192.0.2.7"},
		{http.Header{"X-Forwarded-For": {"203.0.113.1, 192.0.2.7"}}, "192.0.2.7"},
		{http.Header{"X-Forwarded-For": {"203.0.113.1, 192.0.2.7, 10.0.0.2"}}, "192.0.2.7"},
		{http.Header{"X-Forwarded-For": {"203.0.113.1", "192.0.2.7", "10.0.0.2"}}, "192.0.2.7"},
		{http.Header{"X-Forwarded-For": {"10.0.0.3, 10.0.0.2"}}, "10.0.0.3"},
		{http.Header{"X-Forwarded-For": {"10.0.0.3"}}, "10.0.0.3"},
		{http.Header{"X-Forwarded-For": {"192.0.2.7:4711"}}, "192.0.2.7"},
		{http.Header{"X-Forwarded-For": {"[2001:db8::7]:4711"}}, "2001:db8::7"},
		{http.Header{"X-Forwarded-For": {"[2001:db8::7], fd00::1"}}, "2001:db8::7"},
		{http.Header{"X-Forwarded-For": {"::ffff:192.0.2.7"}}, "192.0.2.7"},
		{http.Header{"X-Forwarded-For": {"fe80::7%eth0"}}, "fe80::7"},
		{http.Header{"X-Forwarded-For": {"127.0.0.1, unknown"}}, ""},
		{http.Header{"X-Forwarded-For": {"127.0.0.1, unknown, 10.0.0.2"}}, ""},
		{http.Header{"X-Forwarded-For": {""}}, ""},
		{http.Header{"X-Forwarded-For": {"127.0.0.1,"}}, ""},
		{http.Header{"Forwarded": {"for=192.0.2.7"}}, ""},
		{http.Header{"X-Real-Ip": {"127.0.0.1"}}, ""},
		{http.Header{"X-Forwarded-Proto": {"https"}}, ""},
	} {
		got := original(netip.MustParseAddr("10.0.0.1"), c.header, proxies)
		if got.IsValid() != (c.want != "") || c.want != "" && got.String() != c.want {
			t.Errorf("%v: %v, want %q", c.header, got, c.want)
		}
	}
}
