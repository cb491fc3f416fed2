package spool

import "hash/crc32"

// joinSums is the checksum of two pieces, one behind the other, of which those are
// known: the top of a message comes when its body has been summed up. n are the
// octets of the second.
//
// A checksum is a polynomial over GF(2), modulo the one that names the kind. Each octet
// that follows multiplies it by x^8.
func joinSums(first, second uint32, n int64) uint32 {
	shift, square := uint32(1<<31), uint32(1<<(31-8)) // 1 and x^8; bits stand in reverse
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			shift = multiply(shift, square)
		}
		square = multiply(square, square)
	}
	return multiply(first, shift) ^ second
}

// multiply multiplies two polynomials modulo Castagnoli's.
func multiply(a, b uint32) (product uint32) {
	for bit := uint32(1 << 31); bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		if b&1 == 1 {
			b = b>>1 ^ crc32.Castagnoli
		} else {
			b >>= 1
		}
	}
	return product
}
