package sink

import "math/bits"

// sketch says of a text which words are certainly not in it, in an eighth of its octets or less: it has a bit for
// every three octets that stand together there, several of which may share one. A search asks it first, because
// to read the texts of 100,000 messages takes longer than people wait.
type sketch []uint64

// leastBits and mostBits bound a sketch: what is less than leastBits saves nothing, and the different triples of a
// long text are not many more than mostBits.
const (
	leastBits = 1 << 9
	mostBits  = 1 << 17
)

func sketchOf(text string) sketch {
	s := make(sketch, min(mostBits, max(leastBits, 1<<bits.Len(uint(len(text)))))/64)
	for at := range s.places(text) {
		s[at/64] |= 1 << (at % 64)
	}
	return s
}

// mayHold is false if the text does not hold what is searched for. Where there is no sketch, it may.
func (s sketch) mayHold(text string) bool {
	if s == nil {
		return true
	}
	for at := range s.places(text) {
		if s[at/64]&(1<<(at%64)) == 0 {
			return false
		}
	}
	return true
}

// places are the bits of a text.
func (s sketch) places(text string) func(yield func(uint32) bool) {
	shift := 32 - bits.TrailingZeros(uint(len(s)*64))
	return func(yield func(uint32) bool) {
		for i := 2; i < len(text); i++ {
			three := uint32(text[i-2]) | uint32(text[i-1])<<8 | uint32(text[i])<<16
			if !yield(three * 0x9E3779B1 >> shift) {
				return
			}
		}
	}
}
