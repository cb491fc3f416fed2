//go:build !(linux || darwin || freebsd)

package durable

import "errors"

// FreeOn cannot tell here: a full disk shows when it is written to.
func FreeOn(string) (Free, error) { return Free{}, errors.ErrUnsupported }
