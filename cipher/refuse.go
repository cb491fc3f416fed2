package cipher

import (
	"fmt"
	"strings"
)

// Refuse returns an error that gives the reason if name is that of an
// algorithm this package refuses (RC4, DIGEST-MD5, SSLv3, …), and nil for any
// other name. A configuration check shows it.
func Refuse(name string) error {
	n := strings.ToUpper(strings.NewReplacer("_", "", "-", "", " ", "", ".", "").Replace(name))
	var why string
	switch n {
	case "RC4", "ARCFOUR", "ARC4":
		why = "RC4 leaks what it encrypts and is prohibited (RFC 7465); use XChaCha20-Poly1305"
	case "DIGESTMD5":
		why = "DIGEST-MD5 is historic, its security layers are broken (RFC 6331); use SCRAM-SHA-256"
	case "DES", "3DES", "TRIPLEDES", "BLOWFISH":
		why = n + " has 64-bit blocks (CVE-2016-2183); use XChaCha20-Poly1305"
	case "AESECB", "AESCBC", "AESCTR", "AESCFB", "AESOFB":
		why = n + " without authentication can be changed unnoticed; use XChaCha20-Poly1305"
	case "SSLV2", "SSLV3", "SSL30", "TLSV1", "TLS10", "TLSV10", "TLS11", "TLSV11":
		why = name + " is obsolete (RFC 7568, RFC 8996); use TLS 1.2 or 1.3"
	case "NTLM", "GSSSPNEGO":
		why = "NTLM rests on MD4 and DES; use SCRAM-SHA-256"
	default:
		return nil
	}
	return fmt.Errorf("%w: %s", ErrRefused, why)
}
