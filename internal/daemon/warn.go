package daemon

import (
	"errors"

	"github.com/postrider-mail/postrider/internal/conf"
)

// warn tells the operator of what is no reason to refuse to work: fewer
// descriptors than connections, passwords that anybody can read who gets to see
// the configuration, mechanisms that one account keeps from all. A reload repeats
// nothing that has been said, and who tries it out on one machine has no use for
// what concerns those who serve others. d.reloading is held, or the daemon is being made.
func (d *Daemon) warn(s *conf.Settings) {
	before := d.warned
	d.warned = make(map[string]bool)
	say := func(what, key string, err error) {
		text := what + err.Error()
		if !before[text] && !d.warned[text] {
			d.log.Warn(what, key, err.Error())
		}
		d.warned[text] = true
	}
	for _, err := range s.InClear() {
		say("a password in the configuration can be read", "problem", err)
	}
	for _, err := range s.Keyless() {
		say("a mechanism is offered to nobody", "problem", err)
	}
	if mail, err := s.MailRules(); err == nil {
		for _, w := range mail.Warnings() {
			say("a rule may not be meant so", "problem", errors.New(w.Brief()))
		}
	}
	if err := Descriptors(s); err != nil && !s.OnlyHere() {
		say("few descriptors", "err", err)
	}
}
