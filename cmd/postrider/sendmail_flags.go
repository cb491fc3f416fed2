package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/postrider-mail/postrider/internal/control"
)

// sendmailFlags are the flags that programs have used since the sendmail
// program of 1983.
type sendmailFlags struct {
	conf, socket string

	from        string
	fullName    string
	notify      string // -N
	ret         string // -R
	envelopeID  string // -V
	fromHeader  bool   // -t
	ignoreDots  bool   // -i
	smtpOnStdio bool   // -bs
	list        bool   // -bp
	rebuild     bool   // -bi
	flush       bool   // -q
}

func parseSendmail(args []string) (f sendmailFlags, to []string, err error) {
	value := func(i *int, glued string) (string, error) {
		if glued != "" {
			return glued, nil
		}
		if *i++; *i >= len(args) {
			return "", fmt.Errorf("%s needs a value", args[*i-1])
		}
		return args[*i], nil
	}
	for i := 0; i < len(args) && err == nil; i++ {
		a := args[i]
		switch {
		case a == "--":
			return f, append(to, args[i+1:]...), nil
		case a == "--conf":
			f.conf, err = value(&i, "")
		case a == "--socket":
			f.socket, err = value(&i, "")
		case len(a) < 2 || a[0] != '-':
			to = append(to, a)
		case a[1] == 'b':
			err = f.mode(a)
		case a == "-oi":
			f.ignoreDots = true
		case a[1] == 'q':
			f.flush = true
		case f.text(a[1]) != nil:
			*f.text(a[1]), err = value(&i, a[2:])
			if f.from == "" && (a[1] == 'f' || a[1] == 'r') {
				f.from = "<>"
			}
		case strings.ContainsRune("oBXLCh", rune(a[1])):
			_, err = value(&i, a[2:])
		case strings.Trim(a[1:], "timnvUGs") == "":
			// Single letters may stand together, as in -ti.
			f.fromHeader = f.fromHeader || strings.ContainsRune(a, 't')
			f.ignoreDots = f.ignoreDots || strings.ContainsRune(a, 'i')
		default:
			err = fmt.Errorf("unknown flag %s", a)
		}
	}
	return f, to, err
}

// text is where the value of a flag goes, or nil.
func (f *sendmailFlags) text(flag byte) *string {
	switch flag {
	case 'f', 'r':
		return &f.from
	case 'F':
		return &f.fullName
	case 'N':
		return &f.notify
	case 'R':
		return &f.ret
	case 'V':
		return &f.envelopeID
	}
	return nil
}

// mode takes what the program is to do.
func (f *sendmailFlags) mode(flag string) error {
	switch flag {
	case "-bm":
	case "-bs":
		f.smtpOnStdio = true
	case "-bp":
		f.list = true
	case "-bi":
		f.rebuild = true
	default:
		return fmt.Errorf("%s is not supported", flag)
	}
	return nil
}

// The exit codes of sysexits.h, which programs that call sendmail act on.
const (
	exitUsageSendmail = 64
	exitData          = 65
	exitNoUser        = 67
	exitUnavailable   = 69
	exitTryLater      = 75
	exitNotAllowed    = 77
)

// codedError is an error with an exit code of its own.
type codedError struct {
	code int
	err  error
}

// Error is the error's text.
func (e *codedError) Error() string { return e.err.Error() }

// Unwrap is the error itself.
func (e *codedError) Unwrap() error { return e.err }

// inSysexits gives an error the exit code that it has in sendmail programs. What
// may go well later is told apart from what will not: some callers try again.
func inSysexits(err error) error {
	var known *codedError
	var wrong *usageError
	var refused *control.Refusal
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.As(err, &wrong):
		return &codedError{exitUsageSendmail, err}
	case !errors.As(err, &refused):
		return &codedError{exitTryLater, err}
	case refused.Code/100 == 4:
		return &codedError{exitTryLater, err}
	case strings.HasPrefix(refused.Enhanced, "5.1."):
		return &codedError{exitNoUser, err}
	case strings.HasPrefix(refused.Enhanced, "5.7."):
		return &codedError{exitNotAllowed, err}
	}
	return &codedError{exitUnavailable, err}
}
