package sasl

import "errors"

// Errors of what is stored instead of passwords. Callers compare with errors.Is.
var (
	// ErrPassword: a password to be stored is empty or longer than MaxPassword.
	ErrPassword = errors.New("password is empty or too long")
	// ErrForm: the stored text is of no form that is known, or is damaged.
	ErrForm = errors.New("unknown form of stored password")
	// ErrCost: checking it would take more memory or time than is allowed.
	ErrCost = errors.New("stored password asks for too much work")
)

// MaxPassword is the longest password in bytes that is stored or checked.
const MaxPassword = 1024
