package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// The accounts of mox: who they are stands in domains.conf, and their passwords in a database for each below its data folder.

// moxValue is a line of a file of mox's: "key: value", or "- value" in a list, with what is indented below it.
type moxValue struct {
	key, value string
	line       int
	below      []*moxValue
}

// readSconf reads a file of mox's settings, as far as its lines go: each level is a tab, and nothing is quoted.
func readSconf(r io.Reader) (*moxValue, error) {
	open := []*moxValue{{}} // the way to the line, by its depth
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longestLine)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimLeft(lines.Text(), "\t")
		depth := len(lines.Text()) - len(text)
		if text = strings.TrimSpace(text); text == "" || text[0] == '#' {
			continue
		}
		v := &moxValue{line: n}
		if item, ok := strings.CutPrefix(text, "-"); ok {
			v.key, v.value = "-", strings.TrimSpace(item)
		} else if v.key, v.value, ok = strings.Cut(text, ":"); !ok {
			return nil, fmt.Errorf("line %d: no key and value, parted by a colon", n)
		}
		v.value = strings.TrimSpace(v.value)
		if depth >= len(open) {
			return nil, fmt.Errorf("line %d: is indented too far", n)
		}
		open[depth].below = append(open[depth].below, v)
		open = append(open[:depth+1], v)
	}
	return open[0], lines.Err()
}

// at is the value below keys, or an empty one.
func (v *moxValue) at(keys ...string) *moxValue {
next:
	for _, key := range keys {
		for _, b := range v.below {
			if b.key == key {
				v = b
				continue next
			}
		}
		return &moxValue{}
	}
	return v
}

// moxAddresses are the addresses of an account: one that it is called by here, which is that of its own name where it has one, and the others.
func moxAddresses(account *moxValue) (main string, others []string) {
	for _, d := range account.at("Destinations").below {
		address := d.key
		if !strings.Contains(address, "@") {
			address += "@" + account.at("Domain").value
		}
		local, _, _ := strings.Cut(address, "@")
		switch {
		case main == "" && local != "":
			main = address
		case local == account.key && !strings.HasPrefix(main, local+"@"):
			main, others = address, append(others, main)
		default:
			others = append(others, address)
		}
	}
	return main, others
}

// readMoxAccounts reads the accounts of domains.conf, with the passwords below the data folder that mox.conf beside it names.
func readMoxAccounts(r io.Reader, f *takeoverFlags) (all []conf.NewAccount, bad []error) {
	root, err := readSconf(r)
	if err != nil {
		return nil, []error{err}
	}
	dir, err := moxData(filepath.Dir(f.file))
	if err != nil {
		return nil, []error{err}
	}
	for _, account := range root.at("Accounts").below {
		name, _ := moxAddresses(account)
		if name == "" {
			bad = append(bad, fmt.Errorf("line %d: the account %s has no address", account.line, account.key))
			continue
		}
		a := conf.NewAccount{Address: domains.CanonicalAddress(name), Disabled: account.at("LoginDisabled").value != ""}
		if n, err := strconv.ParseInt(account.at("QuotaMessageSize").value, 10, 64); err == nil && n > 0 {
			a.Quota = config.Size(n).String()
		}
		if a.Password, err = moxPassword(filepath.Join(dir, "accounts", account.key, "index.db")); err == nil {
			err = usableHash(&a)
		} else {
			err = fmt.Errorf("%s: %w", a.Address, err)
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("line %d: %w", account.line, err))
			continue
		}
		for _, d := range account.at("Destinations").below {
			for _, left := range d.below {
				if left.key == "Rulesets" || strings.HasSuffix(left.key, "SMTPError") {
					bad = append(bad, partly{fmt.Errorf("line %d: %s: taken over without %s of %s", left.line, a.Address, left.key, d.key)})
				}
			}
		}
		all = append(all, a)
	}
	return all, bad
}

// moxData is the data folder of the settings in a folder.
func moxData(dir string) (string, error) {
	file, err := os.Open(filepath.Join(dir, "mox.conf"))
	if err != nil {
		return "", fmt.Errorf("the passwords are where mox.conf says, beside domains.conf: %w", err)
	}
	defer file.Close()
	root, err := readSconf(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file.Name(), err)
	}
	data := root.at("DataDir").value
	if data == "" {
		return "", fmt.Errorf("%s has no DataDir", file.Name())
	}
	if !filepath.IsAbs(data) {
		data = filepath.Join(dir, data)
	}
	return data, nil
}

// moxPassword reads an account's password. Records are kept by their first field, which is the bcrypt hash; there is one.
func moxPassword(name string) (hash string, err error) {
	switch info, err := os.Stat(name); {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is no file", name)
	}
	// The library takes each page's word for it, and reads the file as memory: one that was copied while mox ran, or as far as the disk
	// had room, makes it panic, or fault.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if why := recover(); why != nil {
			hash, err = "", fmt.Errorf("%s is damaged: %v", name, why)
		}
	}()
	db, err := bbolt.Open(name, 0, &bbolt.Options{ReadOnly: true, Timeout: 2 * time.Second})
	if errors.Is(err, berrors.ErrTimeout) {
		return "", fmt.Errorf("%s is in use: stop mox, or take domains.conf and mox.conf of a backup (mox backup)", name)
	}
	if err != nil {
		return "", err
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		passwords := tx.Bucket([]byte("Password"))
		if passwords == nil || passwords.Bucket([]byte("records")) == nil {
			return nil
		}
		return passwords.Bucket([]byte("records")).ForEach(func(key, _ []byte) error {
			if hash != "" {
				return fmt.Errorf("%s has several passwords", name)
			}
			hash = string(bytes.Clone(key))
			return nil
		})
	})
	return hash, err
}

// readMoxAliases reads what leads to accounts in domains.conf: their further addresses, those for all others of a domain, and its aliases.
func readMoxAliases(r io.Reader) (all []conf.NewAlias, bad []error) {
	root, err := readSconf(r)
	if err != nil {
		return nil, []error{err}
	}
	for _, account := range root.at("Accounts").below {
		name, others := moxAddresses(account)
		for _, other := range others {
			if name == "" {
				bad = append(bad, fmt.Errorf("line %d: %s leads to %s, who has no address", account.line, other, account.key))
				continue
			}
			all = append(all, conf.NewAlias{Address: domains.CanonicalAddress(inHome(other, "")), Targets: []string{name}})
		}
	}
	for _, domain := range root.at("Domains").below {
		if s := domain.at("LocalpartCatchallSeparator").value; s != "" && s != "+" || len(domain.at("LocalpartCatchallSeparators").below) > 0 {
			bad = append(bad, fmt.Errorf("line %d: %s parts details from names by another sign than +; see: postrider conf doc Domains.NAME", domain.line, domain.key))
		}
		for _, alias := range domain.at("Aliases").below {
			a := conf.NewAlias{Address: domains.CanonicalAddress(alias.key + "@" + domain.key)}
			for _, to := range alias.at("Addresses").below {
				a.Targets = append(a.Targets, to.value)
			}
			if len(a.Targets) == 0 {
				bad = append(bad, fmt.Errorf("line %d: %s leads nowhere", alias.line, a.Address))
				continue
			}
			all = append(all, a)
			if alias.at("PostPublic").value != "true" {
				bad = append(bad, partly{fmt.Errorf("line %d: %s: taken over without the rule that only its members write to it", alias.line, a.Address)})
			}
		}
	}
	return all, bad
}
