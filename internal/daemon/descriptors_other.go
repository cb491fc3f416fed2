//go:build !(linux || darwin || freebsd)

package daemon

// openFiles is how many files this process may have open; 0 if it is not known.
func openFiles() uint64 { return 0 }

// diskSize is the size of the file system of dir in octets; 0 if it is not
// known.
func diskSize(string) int64 { return 0 }
