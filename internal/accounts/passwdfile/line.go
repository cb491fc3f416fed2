package passwdfile

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Entry is an account of the file.
type Entry struct {
	Address  domains.Address
	Line     int
	Stored   string         // the password, with its scheme; empty: nobody can log in
	Disabled bool           // nologin, or a password that is locked by "!" or "*"
	Nets     []netip.Prefix // where logins may come from; nil: from anywhere
	Quota    int64          // octets; 0: nothing is said, -1: no limit
	Problem  error          // why nobody can log in though the line means that somebody can
}

// parse reads all lines:
//
//	user:password:uid:gid:(gecos):home:(shell):extra fields
//
// Those that are empty or begin with "#" are none. Of two for one user the first counts.
func parse(text []byte, scheme string, domain domains.Name) (all []Entry, byName map[domains.Address]int) {
	byName = make(map[domains.Address]int)
	n := 0
	for line := range bytes.Lines(text) {
		n++
		field := strings.SplitN(strings.TrimRight(string(line), "\r\n"), ":", 8)
		if field[0] == "" || field[0][0] == '#' {
			continue
		}
		e := Entry{Line: n, Address: domains.CanonicalAddress(field[0])}
		if !strings.Contains(field[0], "@") {
			e.Address = domains.At(field[0], domain)
		}
		if len(field) > 1 {
			e.password(field[1], scheme)
		}
		if len(field) > 7 {
			e.extra(strings.Fields(field[7]))
		}
		if first, twice := byName[e.Address]; twice {
			e.Problem = fmt.Errorf("the user is there already, in line %d", all[first].Line)
			e.Stored = ""
		} else {
			byName[e.Address] = len(all)
		}
		all = append(all, e)
	}
	return all, byName
}

// password reads the second field.
func (e *Entry) password(stored, scheme string) {
	switch {
	case stored == "":
		return
	case stored[0] == '!' || stored[0] == '*': // as in shadow(5)
		e.Disabled = true
		return
	case stored[0] != '{':
		stored = "{" + scheme + "}" + stored
	}
	if err := passwd.CheckForm(stored); err != nil {
		e.Problem = err
		return
	}
	e.Stored = stored
}

// unheeded are extra fields that make a login something else than the check of a password for the account of this name. To let
// somebody in without them would be wrong.
var unheeded = map[string]string{
	"nopassword": "lets anybody in", "user": "makes it another account", "userdb_user": "makes it another account", "username": "makes it another account",
	"proxy": "leads to another server", "proxy_maybe": "leads to another server", "host": "leads to another server", "destuser": "leads to another server", "master": "is for master users",
	"login_user": "is for master users", "k5principals": "is for Kerberos", "allow_real_nets": "is about proxies", "userdb_quota_rule2": "is a second quota",
}

// extra reads the extra fields of passdb and userdb that matter here. Those that say where Dovecot keeps what do not.
func (e *Entry) extra(fields []string) {
	for _, f := range fields {
		key, value, _ := strings.Cut(f, "=")
		switch key {
		case "nologin", "userdb_nologin":
			e.Disabled = true
		case "allow_nets":
			if err := e.allow(value); err != nil {
				e.Problem, e.Stored = err, ""
			}
		case "userdb_quota_rule":
			e.Quota = rule(value)
		case "userdb_quota_storage_size":
			e.Quota = size(value, 1)
		default:
			if why := unheeded[key]; why != "" {
				e.Problem, e.Stored = fmt.Errorf("the extra field %q %s", key, why), ""
			}
		}
	}
}

// allow reads the networks of allow_nets.
func (e *Entry) allow(list string) error {
	for _, text := range strings.Split(list, ",") {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, err := netip.ParseAddr(text)
			if err != nil {
				return errors.New("allow_nets names what is no network")
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		e.Nets = append(e.Nets, prefix.Masked())
	}
	return nil
}

// rule reads a quota rule for all folders, "*:storage=2G:messages=1000". Of other rules nothing counts.
func rule(text string) int64 {
	for i, part := range strings.Split(text, ":") {
		key, value, _ := strings.Cut(part, "=")
		switch {
		case i == 0 && part != "*":
			return 0
		case part == "ignore":
			return -1
		case key == "storage":
			return size(value, 1024) // kilobytes if nothing is said
		case key == "bytes":
			return size(value, 1)
		}
	}
	return 0
}

// size reads a size of Dovecot's, "500M"; 0 if it is none or means no limit.
func size(text string, unit int64) int64 {
	text = strings.TrimSuffix(strings.ToUpper(text), "B")
	if i := strings.IndexByte("KMGT", (text + " ")[max(0, len(text)-1)]); i >= 0 && text != "" {
		text, unit = text[:len(text)-1], 1<<(10*(i+1))
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil || n < 0 || n > (1<<62)/unit:
		return 0
	case n == 0:
		return -1
	}
	return n * unit
}
