//go:build !unix

package sealedmail

// lockedMemory gives n octets, as any others.
func lockedMemory(n int) (octets []byte, free func()) { return make([]byte, n), func() {} }
