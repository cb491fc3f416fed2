// Package conf is the daemon's settings: one struct whose comments are the
// manual, the folder of .conf files it is read from, and the check that says
// everything that is wrong with them before anything is opened.
package conf

import (
	"errors"
	"path/filepath"
)

// Load reads path: a file, or every *.conf in a folder in the order of their
// names, merged. The error lists every problem found in the text, each with
// its place; Check finds those in the meaning.
func Load(path string) (*Settings, error) { return nil, errors.ErrUnsupported }

// LoadFiles reads these files and merges them in this order.
func LoadFiles(names ...string) (*Settings, error) { return nil, errors.ErrUnsupported }

// Check returns every problem with the settings, the place of each included
// where they were read from files. It opens what they name (certificates,
// keys, directories) but changes nothing.
func (s *Settings) Check() []error { return nil }

// complete fills in what follows from other values: paths, the standard
// listeners, the TLS mode of each listener.
func (s *Settings) complete() {
	fill := func(path *string, name string) {
		if *path == "" {
			*path = filepath.Join(s.DataDir, name)
		}
	}
	fill(&s.MailDir, "mail")
	fill(&s.QueueDir, "queue")
	fill(&s.SecretKeyFile, "secret.key")
	fill(&s.Admin.Socket, "control.sock")
	if len(s.Listeners) == 0 && s.ServerName != "" {
		s.Listeners = standardListeners()
	}
	for i := range s.Listeners {
		s.Listeners[i].complete()
	}
}

func (l *Listener) complete() {}

// AllAccounts returns every account by its full address in lower case, those
// of Accounts and those of Domains together. Passwords that stand in files or
// in the environment are filled in.
func (s *Settings) AllAccounts() map[string]*Account { return nil }

// AllAliases returns every alias by its full address in lower case, with full
// addresses as targets, those of Aliases and those of Domains together. A
// catch-all stands as "*@domain". postmaster and abuse of every local domain
// are there unless they are accounts.
func (s *Settings) AllAliases() map[string][]string { return nil }

// LocalDomains returns the domains whose mail is kept here, in lower case,
// sorted.
func (s *Settings) LocalDomains() []string { return nil }
