//go:build !unix

package maildir_test

import "testing"

// asNobody does nothing here: there is no root.
func asNobody(*testing.T) bool { return false }
