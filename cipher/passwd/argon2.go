package passwd

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Limits of an argon2 string. The largest within them (256 MiB, four passes)
// takes about a second; libsodium's "moderate" is within them.
const (
	maxArgonMemory = 256 << 10 // KiB
	maxArgonTime   = 1 << 10
	maxArgonWork   = 1 << 20 // KiB × passes
)

// argonHash is an argon2 hash with its parameters, as a PHC string holds it.
type argonHash struct {
	variant string // "argon2id" or "argon2i"
	memory  uint32 // KiB
	time    uint32 // passes
	lanes   uint8
	salt    []byte
	sum     []byte
}

// standard is what Hash makes. It is a value, copied on use.
var standard = argonHash{variant: "argon2id", memory: 19 << 10, time: 2, lanes: 1, sum: make([]byte, 32)}

// compute hashes password with h's parameters and salt to as many bytes as h's
// sum has.
func (h *argonHash) compute(password []byte) []byte {
	if h.variant == "argon2i" {
		return argon2.Key(password, h.salt, h.time, h.memory, h.lanes, uint32(len(h.sum)))
	}
	return argon2.IDKey(password, h.salt, h.time, h.memory, h.lanes, uint32(len(h.sum)))
}

// String gives the PHC form.
func (h *argonHash) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$%s$v=%d$m=%d,t=%d,p=%d$%s$%s", h.variant, argon2.Version,
		h.memory, h.time, h.lanes, b64.EncodeToString(h.salt), b64.EncodeToString(h.sum))
}

// strong reports whether h is at least as costly as standard.
func (h *argonHash) strong() bool {
	return h.variant == standard.variant && h.memory >= standard.memory &&
		uint64(h.memory)*uint64(h.time) >= uint64(standard.memory)*uint64(standard.time) &&
		len(h.salt) >= 16 && len(h.sum) >= 32
}

// parseArgon2 reads
//
//	$argon2id$v=19$m=<KiB>,t=<passes>,p=<lanes>$<salt>$<hash>
//
// (https://github.com/P-H-C/phc-string-format, and RFC 9106).
func parseArgon2(stored string) (*form, error) {
	bad := func(what string) (*form, error) {
		return nil, fmt.Errorf("%w: argon2 string with %s", ErrForm, what)
	}
	part := strings.Split(stored, "$")
	if len(part) != 6 {
		return bad("a wrong number of $")
	}
	if part[2] != "v=19" {
		return bad("a version that is not 19")
	}
	h := &argonHash{variant: part[1]}
	if !h.setParameters(part[3]) {
		return bad("bad parameters (want m=…,t=…,p=…)")
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.Strict().DecodeString(part[4])
	h.sum, err2 = base64.RawStdEncoding.Strict().DecodeString(part[5])
	if err1 != nil || err2 != nil {
		return bad("damaged base64")
	}
	if len(h.salt) < 8 || len(h.salt) > 64 || len(h.sum) < 16 || len(h.sum) > 64 {
		return bad("a salt or hash of a length out of the ordinary")
	}
	if h.memory > maxArgonMemory || h.time > maxArgonTime || uint64(h.memory)*uint64(h.time) > maxArgonWork {
		return nil, fmt.Errorf("%w: argon2 with m=%d,t=%d", ErrCost, h.memory, h.time)
	}
	check := func(password []byte) bool {
		return subtle.ConstantTimeCompare(h.compute(password), h.sum) == 1
	}
	work := uint64(h.memory) * uint64(h.time)
	cheap := work < uint64(standard.memory)*uint64(standard.time)
	return &form{check: check, memory: h.memory, cheap: cheap, lasting: h.strong()}, nil
}

func (h *argonHash) setParameters(s string) bool {
	param := strings.Split(s, ",")
	if len(param) != 3 {
		return false
	}
	m, ok1 := number(param[0], "m=", 1<<32-1)
	t, ok2 := number(param[1], "t=", 1<<32-1)
	p, ok3 := number(param[2], "p=", 255)
	h.memory, h.time, h.lanes = uint32(m), uint32(t), uint8(p)
	// Argon2 needs 8 KiB per lane (RFC 9106 §3.1), at least one pass and lane.
	return ok1 && ok2 && ok3 && t >= 1 && p >= 1 && m >= 8*p
}

// number reads prefix and a plain decimal number (no sign, no leading zero)
// of at most limit.
func number(s, prefix string, limit uint64) (uint64, bool) {
	digits, ok := strings.CutPrefix(s, prefix)
	if !ok || digits == "" || len(digits) > 1 && digits[0] == '0' || digits[0] == '+' {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n <= limit
}
