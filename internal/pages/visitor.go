package pages

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
)

// Visitor is who asks for a page, as far as it can be believed.
type Visitor struct {
	Client netip.Addr // the zero Addr: nobody knows
	// Host is the name that was asked, in canonical form, without a port.
	Host string
	// Secure: over TLS, here or at a web server in front of this one.
	Secure bool
	// Missing names what a web server in front of this one does not say, if that is why the
	// visitor cannot be let in.
	Missing string
}

type visitorKey struct{}

// WithVisitor returns a context that carries v.
func WithVisitor(ctx context.Context, v Visitor) context.Context {
	return context.WithValue(ctx, visitorKey{}, v)
}

// VisitorOf returns what WithVisitor has put there, or nobody.
func VisitorOf(ctx context.Context) Visitor {
	v, _ := ctx.Value(visitorKey{}).(Visitor)
	return v
}

// mayLogIn reports whether a password may come this way: over TLS, or within this host, which is asked by
// a name that is no other's.
func (v Visitor) mayLogIn() bool {
	if v.Secure {
		return true
	}
	return IsLoopback(v.Host) && v.Client.IsLoopback()
}

// IsLoopback reports whether a name, or an address without brackets, leads to the host that asks, wherever that is.
func IsLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && a.Unmap().IsLoopback()
}

// needsTLS tells a visitor who came in the clear what to do.
func needsTLS(w http.ResponseWriter, v Visitor) {
	why := "These pages ask for a password, and are served over HTTPS only, or to http://localhost/ of this host."
	if v.Missing != "" {
		why += " If a web server in front of this one speaks HTTPS, it has to say so: " + v.Missing + "."
	}
	http.Error(w, why, http.StatusForbidden)
}
