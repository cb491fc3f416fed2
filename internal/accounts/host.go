package accounts

import (
	"bufio"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// What the host says of itself: programs of it write its names behind the @, and
// send to its system users.

// hostNames are the names that programs of this host call it by: what the kernel
// says, with its domain and without, what Debian keeps in a file, and those of the
// loopback.
func hostNames() []string {
	names := []string{"localhost", "localhost.localdomain"}
	if name, err := os.Hostname(); err == nil && name != "" {
		first, _, _ := strings.Cut(name, ".")
		names = append(names, domains.Canonical(name).String(), strings.ToLower(first))
	}
	if text, err := os.ReadFile("/etc/mailname"); err == nil {
		if name := strings.TrimSpace(string(text)); name != "" {
			names = append(names, domains.Canonical(name).String())
		}
	}
	return names
}

// isHostName reports whether a domain is a name of this host: one of names, or
// one of them with a domain behind it.
func isHostName(domain string, names []string) bool {
	first, _, _ := strings.Cut(domain, ".")
	return slices.Contains(names, domain) || slices.Contains(names, first)
}

// firstPerson is the least id of a person; below it are users of the system
// (login.defs(5)). The user nobody is neither: mail to it has no reader.
const firstPerson = 1000

// systemUsers are the users that programs run as. People are not among them:
// whether somebody can log in to this host is nothing for strangers to find out.
func systemUsers(passwd string) map[string]bool {
	users := map[string]bool{"root": true}
	f, err := os.Open(passwd)
	if err != nil {
		return users
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) < 3 {
			continue
		}
		if id, err := strconv.Atoi(fields[2]); err == nil && id < firstPerson {
			users[strings.ToLower(fields[0])] = true
		}
	}
	return users
}
