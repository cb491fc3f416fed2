package spool

import (
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

// TestJoinSums: the checksum of two pieces follows from theirs, whatever their
// lengths.
func TestJoinSums(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	octets := make([]byte, 70000)
	for i := range octets {
		octets[i] = byte(r.Uint32())
	}
	for i := range 2000 {
		whole := octets[:r.IntN(1+min(len(octets), 1<<(i%17)))]
		at := r.IntN(len(whole) + 1)
		first, second := crc32.Checksum(whole[:at], castagnoli), crc32.Checksum(whole[at:], castagnoli)
		if got, want := joinSums(first, second, int64(len(whole)-at)), crc32.Checksum(whole, castagnoli); got != want {
			t.Fatalf("%d of %d octets: %08x, want %08x", at, len(whole), got, want)
		}
	}
}
