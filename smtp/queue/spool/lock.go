package spool

import "errors"

// ErrLocked: another process has the spool open.
var ErrLocked = errors.New("spool: another process has it open")
