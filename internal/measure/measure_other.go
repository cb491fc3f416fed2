//go:build !linux

package measure

import (
	"os"
	"time"
)

// DataSync makes a file durable.
func DataSync(f *os.File) error { return f.Sync() }

// CPUTime is not known here.
func CPUTime() time.Duration { return 0 }

func rest(string) {}

// Forget does nothing here.
func Forget(string) {}
