package smtp

import "errors"

// IsNull says whether p is the null reverse-path, from which nobody wants to
// hear back.
func (p Path) IsNull() bool { return p == Path{} }

// ParsePath parses a path of MAIL or RCPT, with its angle brackets.
func ParsePath(s string, o PathOption) (Path, error) { return Path{}, errors.New("smtp: not yet") }

// ParseMailbox parses "local@domain", without angle brackets.
func ParseMailbox(s string, o PathOption) (Path, error) { return Path{}, errors.New("smtp: not yet") }

// String is "local@domain", the local part quoted if it must be; empty for the null path.
func (p Path) String() string { return p.Local + "@" + p.Domain }
