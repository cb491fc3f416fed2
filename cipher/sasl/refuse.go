package sasl

import (
	"fmt"
	"strings"
)

// refused gives the reason why there is no mechanism of that name, where there
// is one: an error that is ErrUnknownMechanism.
func refused(name string) error {
	why := ""
	switch strings.ToUpper(strings.ReplaceAll(name, "_", "-")) {
	case "DIGEST-MD5":
		why = "DIGEST-MD5 is historic, its security layers are broken (RFC 6331); use SCRAM-SHA-256"
	case "NTLM", "GSS-SPNEGO":
		why = "NTLM rests on MD4 and DES; use SCRAM-SHA-256"
	default:
		return ErrUnknownMechanism
	}
	return fmt.Errorf("%w: %s", ErrUnknownMechanism, why)
}
