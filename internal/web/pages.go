package web

import (
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
		if silent(site, r) {
			q.client = netip.Addr{}
		}
		if !within(q.client, from) {
			s.Log.Debug("pages refused", slog.String("client", q.client.String()), slog.String("path", r.URL.Path))
			why := "these pages are for the hosts in " + setting
			if !q.client.IsValid() {
				why += "; the web server in front of this one does not say who asks: X-Forwarded-For is missing"
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

// silent reports whether a request looks like one of a web server in front of this one that was not told to say who
// asks: browsers speak no HTTP/1.0, which is what nginx speaks unless it is told otherwise. Everybody
// would come from this host by it.
func silent(site *Site, r *http.Request) bool {
	return fromProxy(site, r) && !r.ProtoAtLeast(1, 1) && len(r.Header.Values("X-Forwarded-For")) == 0
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
