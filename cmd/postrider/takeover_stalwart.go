package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// The principals of Stalwart up to 0.15, as its documentation says that its management API lists them. Nothing of it has been tried with the program.

// principal is one of them, as far as it is of use here.
type principal struct {
	Type, Name string
	Emails     oneOrMore
	Secrets    oneOrMore
	Quota      int64
	Members    oneOrMore // names of others
}

// oneOrMore is a list, or what would be its one member.
type oneOrMore []string

func (l *oneOrMore) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*l = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(l))
}

// readPrincipals reads answers of the API, one behind the other where it has given several pages.
func readPrincipals(r io.Reader) (all []principal, err error) {
	for d := json.NewDecoder(r); ; {
		var text json.RawMessage
		if err := d.Decode(&text); err == io.EOF && all != nil {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("no JSON: %w", err)
		}
		page, err := readPage(text)
		if err != nil {
			return nil, err
		}
		all = append(slices.Grow(all, 1), page...) // an empty page is one
	}
}

// readPage reads one answer, what it holds under "items", or a list.
func readPage(text json.RawMessage) (all []principal, err error) {
	for {
		if err := json.Unmarshal(text, &all); err == nil {
			return all, nil
		}
		var around struct{ Data, Items json.RawMessage }
		if err := json.Unmarshal(text, &around); err != nil || around.Data == nil && around.Items == nil {
			return nil, fmt.Errorf("no list of principals, as GET /api/principal answers it")
		}
		if text = around.Items; text == nil {
			text = around.Data
		}
	}
}

// readStalwartAccounts reads accounts: each that is of one person, and has an address and a password.
func readStalwartAccounts(r io.Reader) (all []conf.NewAccount, bad []error) {
	principals, err := readPrincipals(r)
	if err != nil {
		return nil, []error{err}
	}
	for _, p := range principals {
		if p.Type != "individual" {
			continue // aliases are read by another command; roles, tenants and keys of the API are no mail
		}
		if len(p.Emails) == 0 {
			bad = append(bad, fmt.Errorf("%s has no address", p.Name))
			continue
		}
		a := conf.NewAccount{Address: domains.CanonicalAddress(p.Emails[0])}
		if p.Quota > 0 {
			a.Quota = config.Size(p.Quota).String()
		}
		more := false
		for _, secret := range p.Secrets {
			switch {
			case strings.HasPrefix(secret, "$app$"), strings.HasPrefix(secret, "otpauth://"):
				more = true
			case a.Password == "":
				a.Password = secret
			case errors.Is(passwd.CheckForm(a.Password), passwd.ErrClear):
				a.Password, more = secret, true // a hash may come behind
			default:
				more = true
			}
		}
		if err := usableHash(&a); err != nil {
			bad = append(bad, err)
			continue
		}
		if more {
			bad = append(bad, partly{fmt.Errorf("%s: taken over without its second factor, app passwords, or further passwords", a.Address)})
		}
		all = append(all, a)
	}
	return all, bad
}

// readStalwartAliases reads what leads to accounts: their further addresses, groups and lists.
func readStalwartAliases(r io.Reader) (all []conf.NewAlias, bad []error) {
	principals, err := readPrincipals(r)
	if err != nil {
		return nil, []error{err}
	}
	first := make(map[string]string)
	for _, p := range principals {
		if len(p.Emails) > 0 {
			first[p.Name] = p.Emails[0]
		}
	}
	for _, p := range principals {
		var targets []string
		addresses := p.Emails
		switch p.Type {
		case "individual":
			if len(p.Emails) > 0 {
				targets, addresses = p.Emails[:1], p.Emails[1:]
			}
		case "group", "list":
			for _, m := range p.Members {
				if first[m] != "" {
					m = first[m]
				}
				if !strings.Contains(m, "@") {
					bad = append(bad, fmt.Errorf("%s: its member %s has no address", p.Name, m))
					continue
				}
				targets = append(targets, m)
			}
			if len(targets) == 0 {
				bad = append(bad, fmt.Errorf("%s leads nowhere", p.Name))
				continue
			}
		default:
			continue
		}
		for _, address := range addresses {
			all = append(all, conf.NewAlias{Address: domains.CanonicalAddress(inHome(address, "")), Targets: targets})
		}
	}
	return all, bad
}
