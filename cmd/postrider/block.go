package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/change"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Accounts and domains that nobody logs in to for now, though their mail comes.

func userBlockCommand(block bool) *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:     blockWord(block) + " ADDRESS",
		Args:    cobra.ExactArgs(1),
		Example: "  postrider user " + blockWord(block) + " -c /etc/postrider alice@example.com",
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := conf.Load(confPath(f.path))
			if err != nil {
				return err
			}
			at := address(s, args[0])
			if !s.Elsewhere.Knows(at.Domain()) { // who has an account there is not ours to know
				if at, _, err = account(s, args[0]); err != nil {
					return err
				}
			}
			return f.setBlock(cmd, at.String(), block, func(s *conf.Settings) (*conf.Edit, error) { return s.SetDisabled(at, block) })
		},
		ValidArgsFunction: f.complete,
	}
	c.Short, c.Long = "Let an account that was blocked in again", "Let an account that was blocked in again. One whose domain is blocked stays so with it."
	if block {
		c.Short, c.Long = "Keep everybody from logging in to an account", `Keep everybody from logging in to an account. It keeps its mail and receives more; sessions end.
An account in a passwd-file or a directory stays as it is there, and is blocked here.`
	}
	f.add(c)
	return c
}

func domainBlockCommand(block bool) *cobra.Command {
	var f changeFlags
	c := &cobra.Command{
		Use:     blockWord(block) + " DOMAIN",
		Args:    cobra.ExactArgs(1),
		Example: "  postrider domain " + blockWord(block) + " -c /etc/postrider example.org",
		RunE: func(cmd *cobra.Command, args []string) error {
			name := domains.Canonical(args[0])
			return f.setBlock(cmd, name.String(), block, func(s *conf.Settings) (*conf.Edit, error) {
				return s.SetDomainDisabled(confPath(f.path), name, block)
			})
		},
		ValidArgsFunction: f.completeDomains,
	}
	c.Short, c.Long = "Let the accounts of a domain in again", "Let the accounts of a domain in again, but for those that are blocked themselves."
	if block {
		c.Short, c.Long = "Keep everybody from logging in to accounts of a domain", "Keep everybody from logging in to any account of a domain. They keep their mail and receive more."
	}
	f.add(c)
	return c
}

func blockWord(block bool) string {
	if block {
		return "block"
	}
	return "unblock"
}

// setBlock blocks an account or a domain, or lets it in again.
func (f *changeFlags) setBlock(cmd *cobra.Command, name string, block bool, edit func(*conf.Settings) (*conf.Edit, error)) error {
	out, err := f.apply(cmd, change.Single(edit))
	if err != nil {
		return err
	}
	out.Address = name
	return f.finish(cmd, out, name+" is "+blockWord(block)+"ed in "+strings.Join(out.Files, ", "))
}
