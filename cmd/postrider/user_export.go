package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
)

func userExportCommand() *cobra.Command {
	var path, format string
	var skipSealed bool
	c := &cobra.Command{
		Use:   "export --format dovecot FILE",
		Short: "Tell an IMAP server beside this one the accounts, their passwords and mailboxes",
		Long: `Write the accounts for a server that reads the same mailboxes, such as Dovecot for IMAP: a
passwd-file with the hash of each password, the user that the mail belongs to, and the
place of each mailbox. Blocked accounts are not in it. An account whose password Dovecot
cannot check is named, and so is one whose mailbox is sealed, and the exit code is 1.

FILE is replaced in one step, and keeps its owner; it is open to its owner alone (0600). Where nothing
has changed it is left as it is. "-" is standard output.

A password that a user has set at the pages counts; passwords for single devices open
nothing there.`,
		Example: `  postrider user export -c /etc/postrider --format dovecot /etc/dovecot/postrider.users`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "dovecot" {
				return usage(cmd, errors.New("--format: there is dovecot"))
			}
			s, err := conf.Load(confPath(path))
			if err != nil {
				return err
			}
			return exportUsers(cmd, s, args[0], skipSealed)
		},
	}
	confFlag(c, &path)
	c.Flags().StringVar(&format, "format", "", "dovecot")
	c.Flags().BoolVar(&skipSealed, "skip-sealed", false, "leave sealed mailboxes out without a word: another server cannot read them")
	_ = c.MarkFlagRequired("format")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"dovecot"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// exportUsers writes Dovecot's passwd-file.
func exportUsers(cmd *cobra.Command, s *conf.Settings, name string, skipSealed bool) error {
	if s.Store.Postgres != "" {
		return errInDatabase
	}
	info, err := os.Stat(s.MailDir)
	if err != nil {
		return fmt.Errorf("mail store: %w; start the server once", err)
	}
	store, err := maildir.Open(s.MailDir, maildir.WithMode(maildir.ReadOnly))
	if err != nil {
		return err
	}
	defer store.Close()
	uid, gid, ok := sys.Owner(info)
	if !ok {
		return fmt.Errorf("nobody can tell here whose %s is: %w", s.MailDir, errors.ErrUnsupported)
	}
	var text bytes.Buffer
	var left []error
	written, blocked := 0, 0
	book, kept := s.Book(), preferences.Look(preferences.Dir(s.DataDir))
	for _, at := range slices.Sorted(maps.Keys(book.Accounts)) {
		a := book.Accounts[at]
		if a.Disabled {
			blocked++
			continue
		}
		if a.Sealed != "" {
			if !skipSealed {
				left = append(left, fmt.Errorf("%s: its mailbox is sealed, and no other server can read it (--skip-sealed)", at))
			}
			continue
		}
		p, err := kept.Of(at)
		if err != nil {
			left = append(left, fmt.Errorf("%s: what its user has decided cannot be read: %w", at, err))
			continue
		}
		stored := string(a.Password)
		if p != nil && accounts.OwnPassword(a, p) {
			stored = p.Password.Hash
		}
		dir, err := store.Path(at.String())
		if err != nil {
			left = append(left, fmt.Errorf("%s: %w", at, err))
			continue
		}
		line, err := dovecotLine(at, stored, dir, uid, gid)
		if err != nil {
			left = append(left, fmt.Errorf("%s: %w", at, err))
			continue
		}
		text.WriteString(line)
		written++
	}
	if name == "-" {
		_, err = cmd.OutOrStdout().Write(text.Bytes())
	} else {
		err = replaceFile(name, text.String(), 0o600)
	}
	if err != nil {
		return err
	}
	for _, err := range left {
		fmt.Fprintf(plain{cmd.ErrOrStderr()}, "left out: %v\n", err)
	}
	if name != "-" {
		fmt.Fprintf(cmd.OutOrStdout(), "%s written, %d blocked, %d left out\n", count(written, "account"), blocked, len(left))
	}
	if len(left) > 0 {
		return errSaid
	}
	return nil
}

// dovecotLine is an account in a passwd-file: seven fields as in passwd(5), then extra fields, parted by
// blanks, in which a percent sign is doubled.
func dovecotLine(at domains.Address, stored, dir string, uid, gid int) (string, error) {
	scheme, err := dovecotScheme(stored)
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(at.String(), ":\x00\r\n\t ") || strings.HasPrefix(at.String(), "#") || strings.Contains(scheme, ":") {
		return "", errors.New("its name cannot be written into a passwd-file")
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	if strings.ContainsAny(dir, ":\x00\r\n\t ") {
		return "", fmt.Errorf("%s cannot be written into a passwd-file", dir)
	}
	// Dovecot looks names up with quotes and backslashes escaped, and takes the file's as they stand.
	login := strings.NewReplacer(`\`, `\\`, `'`, `\'`, `"`, `\"`).Replace(at.String())
	return fmt.Sprintf("%s:%s:%d:%d::%s::userdb_mail=maildir:%s\n", login, scheme, uid, gid, dir, strings.ReplaceAll(dir, "%", "%%")), nil
}

// dovecotScheme is a stored password as Dovecot names it.
func dovecotScheme(stored string) (string, error) {
	if stored == "" {
		return "", errors.New("it has no password")
	}
	for prefix, scheme := range map[string]string{
		"$argon2id$": "{ARGON2ID}", "$argon2i$": "{ARGON2I}", "$2a$": "{BLF-CRYPT}", "$2b$": "{BLF-CRYPT}", "$2y$": "{BLF-CRYPT}",
		"$5$": "{SHA256-CRYPT}", "$6$": "{SHA512-CRYPT}", "{": "",
	} {
		if strings.HasPrefix(stored, prefix) {
			return scheme + stored, nil
		}
	}
	return "", fmt.Errorf("its password is kept in a form that Dovecot cannot check (%s), until it is set anew: postrider user passwd", passwd.Kind(stored))
}
