package rfc2822

import (
	"encoding/base64"
	"encoding/binary"
	"unicode/utf16"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"
)

// utf7 reads UTF-7 (RFC 2152), which old programs still send. It is never written.
type utf7 struct{}

// NewDecoder returns a decoder to UTF-8.
func (utf7) NewDecoder() *encoding.Decoder {
	return &encoding.Decoder{Transformer: utf7Decoder{}}
}

// NewEncoder returns an encoder that replaces all text: UTF-7 is not written.
func (utf7) NewEncoder() *encoding.Encoder { return encoding.Replacement.NewEncoder() }

type utf7Decoder struct{ transform.NopResetter }

// maxShift is the longest run of base64 that is decoded as one; a longer one is
// given out undecoded.
const maxShift = 2048

func (utf7Decoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		if c := src[nSrc]; c != '+' && c < 0x80 {
			if nDst == len(dst) {
				return nDst, nSrc, transform.ErrShortDst
			}
			dst[nDst] = c
			nDst++
			nSrc++
			continue
		}
		text, used, wait := utf7Step(src[nSrc:min(len(src), nSrc+maxShift)], atEOF || len(src)-nSrc >= maxShift)
		if wait {
			return nDst, nSrc, transform.ErrShortSrc
		}
		if nDst+len(text) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += copy(dst[nDst:], text)
		nSrc += used
	}
	return nDst, nSrc, nil
}

// utf7Step decodes the octet above 127 or the run of base64 that s begins with.
func utf7Step(s []byte, all bool) (text string, used int, wait bool) {
	if s[0] != '+' {
		return "\ufffd", 1, false
	}
	end := 1
	for end < len(s) && b64Kind[s[end]] == b64Data {
		end++
	}
	if end == len(s) && !all {
		return "", 0, true
	}
	used = end
	if end < len(s) && s[end] == '-' {
		used++
		if end == 1 {
			return "+", used, false
		}
	}
	run := s[1:end]
	if len(run)%4 == 1 {
		run = run[:len(run)-1] // six bits that are no octet
	}
	raw := make([]byte, base64.RawStdEncoding.DecodedLen(len(run)))
	n, err := base64.RawStdEncoding.Decode(raw, run)
	if err != nil || n < 2 {
		return "\ufffd", used, false
	}
	units := make([]uint16, n/2)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(raw[2*i:])
	}
	return string(utf16.Decode(units)), used, false
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
