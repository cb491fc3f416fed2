package acme

import (
	"os"
	"path/filepath"
	"strings"
)

// accountFile is where the account's URI stands, behind the directory of the authority that has it.
const accountFile = "account"

// AccountURI is that of the account (RFC 8555 §7.3) which the certificates in a folder are asked for with at an authority;
// empty if it is not known: it is learnt when the authority is next asked for a certificate. CAA records may name it (RFC 8657).
func AccountURI(folder, directory string) string {
	text, err := os.ReadFile(filepath.Join(folder, accountFile))
	if at, uri, ok := strings.Cut(strings.TrimSpace(string(text)), "\n"); err == nil && ok && at == directory {
		return uri
	}
	return ""
}

// keepAccount writes the account's URI down.
func (m *Manager) keepAccount(uri string) {
	if AccountURI(m.o.Folder, m.o.Directory) == uri {
		return
	}
	if err := m.own.put(accountFile, []byte(m.o.Directory+"\n"+uri+"\n")); err != nil {
		m.o.Log.Warn("the account with the authority cannot be noted", "err", err)
	}
}

// isURI: what an authority says goes into records of the DNS.
func isURI(s string) bool {
	return strings.HasPrefix(s, "https://") && len(s) < 500 && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`";\`, c) })
}
