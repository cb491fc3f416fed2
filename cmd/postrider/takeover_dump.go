package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// first is the first of these columns that the row has.
func (r sqlRow) first(columns ...string) string {
	for _, c := range columns {
		if v := r[c]; v != "" {
			return v
		}
	}
	return ""
}

// off reports whether the row is switched off: "active" of PostfixAdmin and mailcow, "enabled" and "disabled" of others, and whom ISPConfig lets read mail in no way. In mailcow, 2 keeps
// users from logging in, and takes mail all the same, as an account does here that is blocked.
func (r sqlRow) off() bool {
	no := func(column string) bool {
		return slices.Contains([]string{"0", "2", "f", "false", "n", "no"}, strings.ToLower(r[column]))
	}
	_, has := r["disabled"]
	return no("active") || no("enabled") || has && !no("disabled") || r["disableimap"] == "y" && r["disablepop3"] == "y"
}

// isDump knows a dump by its beginning.
func isDump(start string) bool {
	start = strings.ToUpper(strings.TrimSpace(start))
	return slices.ContainsFunc([]string{"--", "/*", `\RESTRICT`, "CREATE ", "INSERT INTO", "DROP TABLE", "SET "}, func(w string) bool { return strings.HasPrefix(start, w) })
}

// Tables of accounts: of PostfixAdmin and mailcow, of guides to Postfix with Dovecot, of Dovecot's own, of ISPConfig.
var accountTables = []string{"mailbox", "virtual_users", "users", "mail_user"}

// domainTables are those of the domains whose mail the server keeps, with the column of their names.
var domainTables = map[string]string{"domain": "domain", "virtual_domains": "name", "mail_domain": "domain"}

// readAccountDump reads the accounts of a dump. An account makes its domain one of this server's, so only those of domains come that
// the dump says are the old one's, that are here already, or that are named: a web site's table of users has addresses of anywhere.
func readAccountDump(r io.Reader, f *takeoverFlags, home domains.Name) (all []conf.NewAccount, bad []error) {
	kept := map[domains.Name]bool{home: true}
	for _, d := range f.domains {
		kept[domains.Canonical(d)] = true
	}
	type place struct {
		account conf.NewAccount
		where   string
	}
	var found []place
	err := rowsOf(r, slices.Concat(accountTables, slices.Collect(maps.Keys(domainTables))), func(table string, line int, row sqlRow) {
		if column := domainTables[table]; column != "" {
			if backup := row["backupmx"]; !row.off() && (backup == "" || backup == "0" || strings.HasPrefix(backup, "f")) {
				kept[domains.Canonical(row[column])] = true
			}
			return
		}
		name := row.first("username", "email", "userid")
		if domain := row["domain"]; !strings.Contains(name, "@") && domain != "" && name != "" {
			name += "@" + domain
		}
		where := fmt.Sprintf("line %d (%s)", line, table)
		a := conf.NewAccount{Address: domains.CanonicalAddress(inHome(name, home)), Password: row.first("password", "crypt"), Disabled: row.off()}
		kind := row["kind"]
		switch {
		case name == "":
			bad = append(bad, fmt.Errorf("%s: a row without a name", where))
			return
		case kind == "location" || kind == "thing" || kind == "group":
			bad = append(bad, fmt.Errorf("%s: %s is a calendar's resource, which has no mail", where, a.Address))
			return
		}
		if n, err := strconv.ParseInt(row["quota"], 10, 64); err == nil && n > 0 {
			a.Quota = config.Size(n).String()
		}
		if err := usableHash(&a); err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", where, err))
			return
		}
		found = append(found, place{a, where})
	})
	for _, p := range found {
		if d := p.account.Address.Domain(); !kept[d] && (f.local == nil || !f.local(d)) {
			bad = append(bad, fmt.Errorf("%s: %s: the dump does not say that mail for %s is kept by that server; if it is: --domain %[3]s", p.where, p.account.Address, d))
			continue
		}
		all = append(all, p.account)
	}
	if err != nil {
		bad = append(bad, err)
	}
	return all, bad
}

// aliasTables are those of aliases; those of domains that stand for others are known, and named.
var aliasTables = []string{"alias", "virtual_aliases", "mail_forwarding", "alias_domain"}

// readAliasDump reads the aliases of a dump. What leads to itself is how PostfixAdmin marks an account.
func readAliasDump(r io.Reader, home domains.Name) (all []conf.NewAlias, bad []error) {
	var order []domains.Address
	targets := make(map[domains.Address][]string) // a guide's table has a row for each target
	err := rowsOf(r, aliasTables, func(table string, line int, row sqlRow) {
		where := fmt.Sprintf("line %d (%s)", line, table)
		if table == "alias_domain" {
			bad = append(bad, fmt.Errorf("%s: %s stands for %s as a whole; add its addresses one by one, or: postrider alias add '*@%[2]s' ADDRESS", where, row["alias_domain"], row["target_domain"]))
			return
		}
		name, leads := row.first("address", "source"), row.first("goto", "destination")
		if name == "" {
			bad = append(bad, fmt.Errorf("%s: a row without a name", where))
			return
		}
		at := domains.CanonicalAddress(inHome(name, home))
		if row.off() {
			bad = append(bad, fmt.Errorf("%s: %s is switched off", where, at))
			return
		}
		to := splitTargets(leads)
		if len(to) == 1 && domains.CanonicalAddress(to[0]) == at {
			return
		}
		for _, target := range to {
			why := noAddress(target)
			if _, host, _ := strings.Cut(target, "@"); host == "localhost" {
				why = "a word of mailcow's own, for mail that is thrown away or learnt from"
			}
			if why != "" {
				bad = append(bad, fmt.Errorf("%s: %s: %s is %s", where, at, target, why))
				return
			}
		}
		if len(to) == 0 {
			bad = append(bad, fmt.Errorf("%s: %s leads nowhere", where, at))
			return
		}
		if targets[at] == nil {
			order = append(order, at)
		}
		for _, target := range to {
			targets[at] = append(targets[at], inHome(target, home))
		}
	})
	for _, at := range order {
		all = append(all, conf.NewAlias{Address: at, Targets: targets[at]})
	}
	if err != nil {
		bad = append(bad, err)
	}
	return all, bad
}

// begins looks at the beginning of a file that may be a dump.
func begins(r io.Reader) (*bufio.Reader, string) {
	b := bufio.NewReader(r)
	start, _ := b.Peek(256)
	return b, string(start)
}

// readQuotas reads docker-mailserver's dovecot-quotas.cf, a line "alice@example.com:5G" each, into the accounts.
func readQuotas(r io.Reader, all []conf.NewAccount) (bad []error) {
	quotas := make(map[domains.Address]string)
	err := logicalLines(r, false, func(n int, line string) {
		name, quota, ok := strings.Cut(line, ":")
		if quota == "0" {
			return // none
		}
		size, err := config.ParseSize(dovecotSize(quota))
		if !ok || err != nil {
			bad = append(bad, fmt.Errorf("line %d: no address and quota, parted by a colon", n))
			return
		}
		quotas[domains.CanonicalAddress(name)] = size.String()
	})
	for i := range all {
		all[i].Quota = cmp.Or(quotas[all[i].Address], all[i].Quota)
		delete(quotas, all[i].Address)
	}
	for _, at := range slices.Sorted(maps.Keys(quotas)) {
		bad = append(bad, fmt.Errorf("the quota of %s, who has no account there", at))
	}
	if err != nil {
		bad = append(bad, err)
	}
	return bad
}
