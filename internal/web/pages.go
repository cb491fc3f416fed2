package web

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"

	"github.com/postrider-mail/postrider/internal/pages"
)

// pages serves what people log in to, on this host's own names.
func (s *Handler) pages(site *Site, q question, r *http.Request) http.HandlerFunc {
	below := func(root string) bool { return r.URL.Path+"/" == root || strings.HasPrefix(r.URL.Path, root) }
	switch {
	case s.Admin != nil && below("/admin/"):
		return s.forThose(s.Admin, site, q, site.AdminFrom, "Web.admin_from")
	case s.Account != nil && below("/account/"):
		return s.forThose(s.Account, site, q, site.AccountFrom, "Web.account_from")
	}
	return nil
}

// forThose serves pages to some networks.
func (s *Handler) forThose(area http.Handler, site *Site, q question, from []netip.Prefix, setting string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		unsaid := unsaid(site, q, r)
		if unsaid != "" {
			q.client = netip.Addr{}
		}
		if !within(q.client, from) {
			s.Log.Debug("pages refused", slog.String("client", q.client.String()), slog.String("path", r.URL.Path))
			why := "these pages are for the hosts in " + setting
			if !q.client.IsValid() {
				why += "; " + cmp.Or(unsaid, "the web server in front of this one does not say who asks: X-Forwarded-For is missing")
			}
			http.Error(w, why, http.StatusForbidden)
			return
		}
		v := pages.Visitor{Client: q.client, Host: q.host, Secure: r.TLS != nil}
		r = r.Clone(pages.WithVisitor(r.Context(), v))
		if fromProxy(site, r) {
			v = behind(v, r)
			if host := last(r.Header, "X-Forwarded-Host"); host != "" {
				r.Host = host // what the browser calls us, so that forms of our own are known as such
			}
			r = r.WithContext(pages.WithVisitor(r.Context(), v))
		}
		area.ServeHTTP(w, r)
	}
}

// unsaid says why nobody knows who asks, though the request comes from this host; empty: that is known. A web server in
// front of this one that was not told to say whom it speaks for would make everybody a visitor from here. Some look like
// one: they speak HTTP/1.0, as no browser does, or lack the field by which a browser asks to keep the connection, and which
// is between it and who it speaks to (RFC 9110 §7.6.1): no web server passes it on. One that the settings name speaks for others always.
func unsaid(site *Site, q question, r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || len(r.Header.Values("X-Forwarded-For")) > 0 {
		return ""
	}
	const missing = "X-Forwarded-For is missing"
	switch addr := peer.Addr().Unmap().WithZone(""); {
	case within(addr, site.Proxies):
		return "the web server in Web.proxy_from does not say who asks: " + missing
	case !addr.IsLoopback() && !within(addr, site.ProxyFrom):
		return ""
	case !r.ProtoAtLeast(1, 1) || !keepsAlive(r.Header):
		return "this was asked by a web server in front of this one that does not say for whom (" + missing + "), or by a program that is no browser (Connection: keep-alive is missing)"
	case !pages.IsLoopback(q.host):
		return "this host asks itself, by a name that others may have too; open http://localhost/ with the port of Web.listen, or, if a web server in front of this one asked, have it say for whom: " + missing
	}
	return ""
}

// keepsAlive reports whether a field of the connection asks to keep it, as browsers do.
func keepsAlive(h http.Header) bool {
	for _, field := range h.Values("Connection") {
		for token := range strings.SplitSeq(field, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "keep-alive") {
				return true
			}
		}
	}
	return false
}

// fromProxy reports whether a request comes from a web server in front of this one that is believed.
func fromProxy(site *Site, r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && within(peer.Addr().Unmap().WithZone(""), site.ProxyFrom)
}

// behind is a visitor as a web server in front of this one tells of him.
func behind(v pages.Visitor, r *http.Request) pages.Visitor {
	switch proto := last(r.Header, "X-Forwarded-Proto"); {
	case strings.EqualFold(proto, "https"):
		v.Secure = true
	case len(r.Header.Values("X-Forwarded-For")) > 0 && r.TLS != nil:
		// It speaks TLS with us; with the browser nobody knows.
		v.Secure = false
		fallthrough
	default:
		v.Missing = "X-Forwarded-Proto: https"
	}
	return v
}
