//go:build !unix

package logs

import "io"

// isJournal: there is none.
func isJournal(io.Writer) bool { return false }
