package sasl

import (
	"crypto/md5"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// CRAMSize is the size of what MakeCRAM gives, in bytes.
const CRAMSize = 2 * md5.Size

// MakeCRAM gives what a server keeps for CRAM-MD5 (RFC 2195) instead of the
// password: the states of HMAC-MD5's two digests after their first block, which
// depends on the password alone (RFC 2104 §4). The outer state stands first,
// each as four little-endian words: Dovecot's {CRAM-MD5} is these 32 bytes in
// hex. Whoever has them can answer CRAM-MD5 challenges, and with little work
// find a weak password: they are to be kept like one.
func MakeCRAM(password []byte) []byte {
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
		panic("sasl: crypto/md5 cannot marshal: " + err.Error()) // it never fails
	}
	state := make([]byte, md5.Size)
	for i := 0; i < md5.Size; i += 4 {
		binary.LittleEndian.PutUint32(state[i:], binary.BigEndian.Uint32(marshalled[4+i:]))
	}
	return state
}

const cramPrefix = "{CRAM-MD5}"

// FormatCRAM gives Dovecot's text form: "{CRAM-MD5}" and 64 hex digits.
func FormatCRAM(cram []byte) string { return cramPrefix + hex.EncodeToString(cram) }

// ParseCRAM reads FormatCRAM's text, with or without the prefix.
func ParseCRAM(text string) ([]byte, error) {
	cram, err := hex.DecodeString(strings.TrimPrefix(text, cramPrefix))
	if err != nil || len(cram) != CRAMSize {
		return nil, fmt.Errorf("%w: a CRAM-MD5 secret has 64 hex digits", ErrForm)
	}
	return cram, nil
}

// cramDigest finishes HMAC-MD5 (RFC 2104) of text from the two states.
func cramDigest(keys, text []byte) ([]byte, error) {
	if len(keys) != CRAMSize {
		return nil, ErrForm
	}
	inner, err := resumeMD5(keys[md5.Size:], text)
	if err != nil {
		return nil, err
	}
	return resumeMD5(keys[:md5.Size], inner)
}

// resumeMD5 digests text after a first block that led to state. crypto/md5
// takes a state in its marshalled form only: "md5" and 1, the state's words
// big-endian, a buffer (empty), and the length so far.
func resumeMD5(state, text []byte) ([]byte, error) {
	marshalled := append(make([]byte, 0, 92), "md5\x01"...)
	for i := 0; i < md5.Size; i += 4 {
		marshalled = binary.BigEndian.AppendUint32(marshalled, binary.LittleEndian.Uint32(state[i:]))
	}
	marshalled = append(marshalled, make([]byte, md5.BlockSize)...)
	marshalled = binary.BigEndian.AppendUint64(marshalled, md5.BlockSize)
	h := md5.New()
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(marshalled); err != nil {
		return nil, fmt.Errorf("sasl: resume MD5: %w", err)
	}
	h.Write(text)
	return h.Sum(nil), nil
}
