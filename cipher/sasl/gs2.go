package sasl

import "strings"

// gs2 is the head of SCRAM's and OAUTHBEARER's first message (RFC 5801 §4,
// RFC 5802 §7):
//
//	gs2-header  = gs2-cbind-flag "," [ "a=" saslname ] ","
//	gs2-cbind-flag = ("p=" cb-name) / "n" / "y"
type gs2 struct {
	flag    byte   // 'p' bound, 'y' could be bound but the server does not offer it, 'n' not
	binding string // of 'p': the binding's name
	authzid string
	text    string // as it was sent
}

func parseGS2(s string) (g gs2, rest string, err error) {
	flag, after, ok1 := strings.Cut(s, ",")
	authzid, rest, ok2 := strings.Cut(after, ",")
	if !ok1 || !ok2 {
		return gs2{}, "", ErrMalformed
	}
	g.text = s[:len(s)-len(rest)]
	switch name, bound := strings.CutPrefix(flag, "p="); {
	case flag == "n" || flag == "y":
		g.flag = flag[0]
	case bound && name != "" && len(name) <= 64:
		g.flag, g.binding = 'p', name
	default:
		return gs2{}, "", ErrMalformed
	}
	if authzid != "" {
		name, ok := strings.CutPrefix(authzid, "a=")
		if !ok || name == "" {
			return gs2{}, "", ErrMalformed
		}
		if g.authzid, err = unescapeName(name); err != nil {
			return gs2{}, "", err
		}
	}
	return g, rest, nil
}

// authzidField writes "a=" saslname, or nothing.
func authzidField(authzid string) string {
	if authzid == "" {
		return ""
	}
	return "a=" + escapeName(authzid)
}

// escapeName makes a saslname: "," and "=" are "=2C" and "=3D".
func escapeName(name string) string {
	return strings.NewReplacer("=", "=3D", ",", "=2C").Replace(name)
}

// unescapeName reads a saslname and prepares it. ABNF knows no case (RFC 5234
// §2.3): Perl's Authen::SCRAM writes "=2c".
func unescapeName(s string) (string, error) {
	var plain strings.Builder
	for {
		before, after, escaped := strings.Cut(s, "=")
		plain.WriteString(before)
		if !escaped {
			return prepareName(plain.String())
		}
		switch {
		case len(after) < 2:
			return "", ErrMalformed
		case strings.EqualFold(after[:2], "2C"):
			plain.WriteByte(',')
		case after[:2] == "3D", after[:2] == "3d":
			plain.WriteByte('=')
		default:
			return "", ErrMalformed
		}
		s = after[2:]
	}
}
