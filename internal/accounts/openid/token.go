package openid

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// leeway is how far clocks may be apart.
const leeway = 60 * time.Second

// types are what a token may call itself in its header: other JWTs of a provider, such as those that tell of a logout, are not to
// be taken for one (RFC 8725 §3.11).
var types = []string{"", "jwt", "at+jwt", "application/at+jwt"}

// verify checks a signed token. Nothing in its header but the key's name counts: not where a key is said to be, and no key in it.
func (p *Provider) verify(ctx context.Context, token string) (string, error) {
	// Compact alone: the JSON forms may have many signatures. An algorithm that is not in the list, "none" in any spelling or one with a
	// shared key, ends here.
	parsed, err := jose.ParseSignedCompact(token, p.algorithms)
	if err != nil {
		return "", &Refused{Why: "is none, or is signed by an algorithm that is not taken"}
	}
	header := parsed.Signatures[0].Protected
	kind, _ := header.ExtraHeaders[jose.HeaderType].(string)
	if !slices.Contains(types, strings.ToLower(kind)) {
		return "", &Refused{Why: "is for something else"}
	}
	keys, err := p.keysFor(ctx, header.KeyID, header.Algorithm)
	if err != nil {
		return "", err
	}
	for _, k := range keys {
		if payload, err := parsed.Verify(k.Key); err == nil {
			return p.claims(payload)
		}
	}
	return "", &Refused{Why: "is not signed by the provider"}
}

// Says is whose a token says that it is; nothing of it is checked, and it may be anybody's word. It is "" where it does not say.
func (p *Provider) Says(token string) string {
	parsed, err := jose.ParseSignedCompact(token, p.algorithms)
	if err != nil {
		return ""
	}
	var c claims
	if json.Unmarshal(parsed.UnsafePayloadWithoutVerification(), &c) != nil {
		return ""
	}
	user, _ := c[p.c.UserClaim].(string)
	return user
}

// claims checks what the provider says in a token, or about one.
func (p *Provider) claims(payload []byte) (user string, err error) {
	refuse := func(why string) (string, error) { return "", &Refused{Why: why, Genuine: true} }
	var c claims
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	if d.Decode(&c) != nil {
		return refuse("holds no claims")
	}
	now := p.now()
	expires, hasEnd := c.time("exp")
	switch begins, later := c.time("nbf"); {
	case c["iss"] != p.c.Issuer && !(p.c.Introspect && c["iss"] == nil): // whoever was asked is the issuer
		return refuse("is of another issuer")
	case !hasEnd && !(p.c.Introspect && c["exp"] == nil):
		return refuse("does not say when it expires")
	case hasEnd && now.After(expires.Add(leeway)):
		return refuse("is expired")
	case c["nbf"] != nil && (!later || now.Add(leeway).Before(begins)):
		return refuse("is not valid yet")
	}
	if made, ok := c.time("iat"); c["iat"] != nil && (!ok || now.Add(leeway).Before(made)) {
		return refuse("is from the future")
	}
	if !slices.ContainsFunc(p.c.AudienceClaims, func(claim string) bool { return c.names(claim, p.c.Audiences) }) {
		return refuse("is not for this server")
	}
	if c["cnf"] != nil { // it is bound to a key that whoever presents it would have to prove (RFC 9449 §7.2, RFC 8705 §3)
		return refuse("counts only with a key that mail programs do not show")
	}
	user, _ = c[p.c.UserClaim].(string)
	if user == "" {
		return refuse("does not say whose it is (" + p.c.UserClaim + ")")
	}
	if p.c.UserClaim == "email" && p.c.EmailVerified && c["email_verified"] != true && c["email_verified"] != "true" {
		return refuse("has an e-mail address that the provider has not verified")
	}
	return user, nil
}

// claims are those of a token, by name.
type claims map[string]any

// time reads a NumericDate (RFC 7519 §2).
func (c claims) time(name string) (time.Time, bool) {
	n, ok := c[name].(json.Number)
	if !ok {
		return time.Time{}, false
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0), true
}

// names reports whether a claim, a text or a list of such, has one of these values.
func (c claims) names(claim string, values []string) bool {
	switch v := c[claim].(type) {
	case string:
		return slices.Contains(values, v)
	case []any:
		return slices.ContainsFunc(v, func(one any) bool { text, ok := one.(string); return ok && slices.Contains(values, text) })
	}
	return false
}
