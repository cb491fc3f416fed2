package spool

import (
	"fmt"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

// What senders ask of the time that a message takes, and of who gets it, is in an
// envelope since versions that honour it. Earlier ones put such an entry aside.

// by writes a deadline (RFC 2852): its time, and the mode "N" or "R", with "T" where
// hops are to tell.
func (d *document) by(by *smtp.DeliverBy) {
	if by == nil {
		return
	}
	mode := "N"
	if by.Return {
		mode = "R"
	}
	if by.Trace {
		mode += "T"
	}
	d.text("by", by.By.UTC().Format(time.RFC3339Nano)+";"+mode)
}

func readBy(value string) (*smtp.DeliverBy, error) {
	at, mode, _ := strings.Cut(value, ";")
	t, err := parseTime(at)
	if err != nil {
		return nil, err
	}
	switch mode {
	case "N", "NT", "R", "RT":
		return &smtp.DeliverBy{By: t, Return: mode[0] == 'R', Trace: len(mode) == 2}, nil
	}
	return nil, fmt.Errorf("%w: mode %q of a deadline", errFormat, mode)
}

// rrvs writes since when a mailbox must have had its owner (RFC 7293), and "R" where
// it is to be refused if nobody can tell, else "C".
func (d *document) rrvs(p smtp.RcptParams) {
	if p.RRVS.IsZero() {
		return
	}
	action := "C"
	if p.RRVSReject {
		action = "R"
	}
	d.text("rrvs", p.RRVS.UTC().Format(time.RFC3339Nano)+";"+action)
}

func readRRVS(p *smtp.RcptParams, value string) (err error) {
	at, action, _ := strings.Cut(value, ";")
	if action != "C" && action != "R" {
		return fmt.Errorf("%w: action %q of RRVS", errFormat, action)
	}
	p.RRVS, err = parseTime(at)
	if p.RRVSReject = action == "R"; p.RRVS.IsZero() {
		p.RRVSReject = false // as if it had not been given
	}
	return err
}
