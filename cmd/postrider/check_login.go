package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
)

// elsewherePatience bounds what a check waits for others.
const elsewherePatience = 20 * time.Second

// elsewhereNotes tries everybody who keeps accounts or answers for logins: that one is away now is no fault of the settings.
func elsewhereNotes(ctx context.Context, s *conf.Settings) (notes []error) {
	e, err := accounts.OpenElsewhere(s, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return []error{err}
	}
	defer e.CloseBut(nil)
	ctx, cancel := context.WithTimeout(ctx, elsewherePatience)
	defer cancel()
	_, problems := e.Try(ctx)
	for _, p := range problems {
		notes = append(notes, fmt.Errorf("here: %w", p))
	}
	return notes
}

// checkLogin says what a name given at login means.
func checkLogin(cmd *cobra.Command, path, user string) error {
	s, err := conf.Load(path)
	if err != nil {
		return err
	}
	if problems := s.Check(); len(problems) > 0 {
		return errors.Join(problems...)
	}
	e, err := accounts.OpenElsewhere(s, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer e.CloseBut(nil)
	out, dir := cmd.OutOrStdout(), accounts.NewDirectory(s).Beside(e)
	ctx, cancel := context.WithTimeout(cmd.Context(), elsewherePatience)
	defer cancel()
	name, account := dir.Login(user)
	fmt.Fprintf(out, "%s at login means %s\n", printable(user), printable(name.String()))
	if account != nil {
		fmt.Fprintf(out, "settings: the account is there, password: %s\n", passwordKind(account))
		return nil
	}
	fmt.Fprintf(out, "settings: no account of this name\n")
	var found *accounts.Known
	failed := false
	for _, a := range e.Ask(ctx, name) {
		fmt.Fprintf(out, "%s: asked for %s\n  answer: %s\n", a.Place, printable(a.Question), printable(a.Answer))
		failed = failed || a.Problem != nil && found == nil
		if found == nil {
			found = a.Known
		}
	}
	switch {
	case failed:
		return fmt.Errorf("it cannot be found out who %s is: logins are told to come again, and so is mail", printable(name.String()))
	case found == nil:
		return fmt.Errorf("nobody is %s", printable(name.String()))
	}
	t := dir.Lookup(found.Address)
	if len(t.Mailboxes) != 1 || t.Mailboxes[0] != found.Address {
		return fmt.Errorf("mail for %s goes elsewhere by the settings, which come first; nobody can log in", printable(found.Address.String()))
	}
	quota, _ := s.QuotaOf(found.Address.Domain(), &conf.Account{Quota: found.Quota}).MarshalText()
	fmt.Fprintf(out, "the account is %s, kept by %s; its mailbox may hold: %s\n", printable(found.Address.String()), found.Place, quota)
	if found.Closed || found.Problem != nil {
		return fmt.Errorf("%s cannot log in with a password", printable(found.Address.String()))
	}
	return nil
}
