package conf

import (
	"errors"
	"fmt"

	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// NewAlias is an alias from another program's file.
type NewAlias struct {
	Address domains.Address
	Targets []string
}

// NewAccount is an account from another program's file.
type NewAccount struct {
	Address  domains.Address `json:"-"`
	Password string          `json:"password"`
	Quota    string          `json:"quota,omitempty"`
	Disabled bool            `json:"disabled,omitempty"`
}

// AddAliases adds the aliases that can be added, and says why each of the others
// cannot: one that leads nowhere would keep the server from starting. What is there
// already stays as it is.
func (s *Settings) AddAliases(path string, all []NewAlias) (edits []*Edit, added int, refused []error, err error) {
	c := newChecker(s, Probes{})
	var good []NewAlias
	for _, a := range all {
		name := a.Address
		_, _, err := s.placeOfAlias(path, a.Address, a.Targets)
		switch {
		case err != nil:
			refused = append(refused, err)
		case c.book.Aliases[name] != nil && s.HasAlias(name):
			refused = append(refused, fmt.Errorf("%s is an alias already", name))
		default:
			targets := make([]Target, len(a.Targets))
			for i, t := range a.Targets {
				targets[i] = c.book.target(t)
			}
			c.book.Aliases[name] = targets
			good = append(good, a)
		}
	}
	good, more := c.leadSomewhere(good)
	refused = append(refused, more...)
	d := newDraft(s)
	for _, a := range good {
		file, steps, err := s.placeOfAlias(path, a.Address, a.Targets)
		if err == nil {
			err = d.set(file, asWritten(a.Targets), steps)
		}
		if err != nil {
			return nil, 0, nil, err
		}
	}
	return d.edits(), len(good), refused, nil
}

// leadSomewhere takes out the aliases that lead nowhere, and those that lead to them.
func (c *checker) leadSomewhere(all []NewAlias) (good []NewAlias, refused []error) {
	for {
		good = nil
		for _, a := range all {
			name, problem := a.Address, error(nil)
			for _, t := range a.Targets {
				if problem == nil {
					problem = c.target(t, name)
				}
			}
			if problem == nil && c.findLoop(name) != nil {
				problem = errors.New("it leads in a circle")
			}
			if problem != nil {
				refused = append(refused, fmt.Errorf("%s: %w", name, problem))
				delete(c.book.Aliases, name)
				continue
			}
			good = append(good, a)
		}
		if len(good) == len(all) {
			return good, refused
		}
		all = good
	}
}

// AddAccounts adds the accounts that can be added, and says why each of the others
// cannot.
func (s *Settings) AddAccounts(path string, all []NewAccount) (edits []*Edit, added int, refused []error, err error) {
	d := newDraft(s)
	for _, a := range all {
		file, steps, err := s.placeOfAccount(path, a.Address)
		if err != nil {
			refused = append(refused, err)
			continue
		}
		if err := d.set(file, a, steps); err != nil {
			return nil, 0, nil, err
		}
		added++
	}
	return d.edits(), added, refused, nil
}

// draft is several changes of several files.
type draft struct {
	of    *Settings
	order []string
	files map[string]*Edit
}

func newDraft(s *Settings) *draft { return &draft{of: s, files: make(map[string]*Edit)} }

func (d *draft) set(file string, value any, steps []string) error {
	e := d.files[file]
	if e == nil {
		text, there := d.of.text().Text(file)
		e = &Edit{File: file, New: !there, Was: text, Text: text}
		d.files[file] = e
		d.order = append(d.order, file)
	}
	text, err := config.Set(e.Text, value, steps...)
	if err != nil {
		return fmt.Errorf("change %s: %w", file, err)
	}
	e.Text = text
	return nil
}

func (d *draft) edits() []*Edit {
	var all []*Edit
	for _, file := range d.order {
		all = append(all, d.files[file])
	}
	return all
}
