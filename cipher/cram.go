package cipher

import (
	"crypto/md5"
	"encoding"
	"encoding/binary"
)

// CRAMSize is the size of what CRAMKeys gives, in bytes.
const CRAMSize = 2 * md5.Size

// CRAMKeys gives what a server keeps for CRAM-MD5 (RFC 2195) instead of the
// password: the states of HMAC-MD5's two digests after their first block, which
// depends on the password alone (RFC 2104 §4). The outer state stands first,
// each as four little-endian words: Dovecot's {CRAM-MD5} is these 32 bytes in
// hex. Whoever has them can answer CRAM-MD5 challenges, and with little work
// find a weak password: they are to be kept like one.
func CRAMKeys(password []byte) []byte {
	var key [md5.BlockSize]byte
	if len(password) > len(key) {
		sum := md5.Sum(password)
		copy(key[:], sum[:])
	} else {
		copy(key[:], password)
	}
	keys := make([]byte, 0, CRAMSize)
	for _, pad := range []byte{0x5c, 0x36} {
		var block [md5.BlockSize]byte
		for i, b := range key {
			block[i] = b ^ pad
		}
		keys = append(keys, md5State(block[:])...)
	}
	return keys
}

// md5State gives MD5's state after one block. crypto/md5 lets it be seen only
// in its marshalled form: 4 bytes of magic, then the state's words big-endian.
func md5State(block []byte) []byte {
	h := md5.New()
	h.Write(block)
	marshalled, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic("cipher: crypto/md5 cannot marshal: " + err.Error()) // it never fails
	}
	state := make([]byte, md5.Size)
	for i := 0; i < md5.Size; i += 4 {
		binary.LittleEndian.PutUint32(state[i:], binary.BigEndian.Uint32(marshalled[4+i:]))
	}
	return state
}
