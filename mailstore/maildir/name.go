package maildir

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
)

// maxUID is the longest unique id RFC 1939 §7 allows.
const maxUID = 70

// namer makes unique names: the time, the process (by chance, for a pid comes
// again), a counter and the host.
type namer struct {
	host  string
	token string
	count atomic.Uint64
}

func newNamer() (*namer, error) {
	var r [6]byte
	if _, err := rand.Read(r[:]); err != nil {
		return nil, fmt.Errorf("maildir: random: %w", err)
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	return &namer{host: cleanHost(host), token: hex.EncodeToString(r[:])}, nil
}

// cleanHost keeps what is safe in a file name and in a unique id, and of that
// so much that the id stays within maxUID.
func cleanHost(host string) string {
	host = strings.Map(func(r rune) rune {
		if r < 0x80 && (plain(byte(r)) || 'A' <= r && r <= 'Z') {
			return r
		}
		return '_'
	}, host)
	return host[:min(len(host), 24)]
}

// next returns a name without size fields: 10+1+7+13+1+7+1+24 octets.
func (n *namer) next(t time.Time) string {
	b := make([]byte, 0, 96) // the size fields will be appended
	b = strconv.AppendInt(b, max(t.Unix(), 0), 10)
	b = append(b, ".M"...)
	us := strconv.Itoa(t.Nanosecond() / 1000)
	b = append(b, "000000"[len(us):]...)
	b = append(b, us...)
	b = append(b, 'P')
	b = append(b, n.token...)
	b = append(b, 'Q')
	// Of one width, so that names sort as they were given out.
	count := strconv.FormatUint(n.count.Add(1), 36)
	b = append(b, "0000000"[min(len(count), 7):]...)
	b = append(b, count...)
	b = append(b, '.')
	return string(append(b, n.host...))
}

// OwnName reports whether a file name, or a unique id made of one, was made by a store
// of this package.
func OwnName(name string) bool { return isOurs(name) }

// fields is what a message's file name says.
type fields struct {
	stable string // up to the colon: the same whatever flags come and go
	uid    string
	flags  string
	sec    int64  // delivery time, 0 if the name holds none
	disk   int64  // S, or -1
	wire   int64  // W, X or Z, or -1
	exact  bool   // X, Z: given out as it stands
	seal   string // K, where there is Z as well: the message is sealed
}

// parseName reads a file name, ours or another program's.
func parseName(name string) fields {
	f := fields{stable: name, disk: -1, wire: -1}
	if i := strings.Index(name, colon); i >= 0 {
		f.stable = name[:i]
		if info := name[i+1:]; strings.HasPrefix(info, "2,") {
			f.flags = info[2:]
		}
	}
	base, rest, _ := strings.Cut(f.stable, ",")
	f.uid = base
	sealed, seal := int64(-1), ""
	for rest != "" {
		var field string
		field, rest, _ = strings.Cut(rest, ",")
		if len(field) < 3 || field[1] != '=' {
			continue
		}
		switch v := field[2:]; field[0] {
		case 'S':
			f.disk = parseSize(v)
		case 'W':
			f.wire = parseSize(v)
		case 'X':
			f.wire, f.exact = parseSize(v), true
		case 'Z':
			sealed = parseSize(v)
		case 'K':
			seal = v
		case 'U':
			if uid, ok := decodePart(v); ok {
				f.uid = uid
			}
		}
	}
	if mailstore.ValidMark(seal) && sealed >= 0 {
		f.wire, f.exact, f.seal = sealed, true, seal
	}
	digits, _, _ := strings.Cut(base, ".")
	if sec, err := strconv.ParseInt(digits, 10, 64); err == nil && sec > 0 {
		f.sec = sec
	}
	if !validUID(f.uid) {
		f.uid = hashUID(f.stable, "")
	}
	return f
}

// parseSize is -1 for anything but a plain decimal number.
func parseSize(s string) int64 {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return -1
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// sizeFields is what follows the unique part of a name made by us.
func sizeFields(disk, wire int64, exact bool, seal, uid string) string {
	mark := ",W="
	switch {
	case seal != "":
		mark = ",Z="
	case exact:
		mark = ",X="
	}
	s := ",S=" + strconv.FormatInt(disk, 10) + mark + strconv.FormatInt(wire, 10)
	if seal != "" {
		s += ",K=" + seal
	}
	if uid != "" {
		s += ",U=" + encodeUID(uid)
	}
	return s
}

// validUID is RFC 1939 §7's rule for a unique id.
func validUID(uid string) bool {
	if len(uid) == 0 || len(uid) > maxUID {
		return false
	}
	for i := range len(uid) {
		if uid[i] < 0x21 || uid[i] > 0x7e {
			return false
		}
	}
	return true
}

// hashUID makes an id for a name that is none, or that is taken.
func hashUID(stable, salt string) string {
	sum := sha256.Sum256([]byte(salt + "\x00" + stable))
	return hex.EncodeToString(sum[:20])
}

// encodeUID keeps an id from being read as a separator of names or paths.
func encodeUID(uid string) string {
	var b strings.Builder
	for i := range len(uid) {
		if c := uid[i]; strings.IndexByte(separators, c) >= 0 {
			fmt.Fprintf(&b, "%%%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func timeOf(f fields) time.Time {
	if f.sec > 0 {
		return time.Unix(f.sec, 0)
	}
	return time.Now()
}
