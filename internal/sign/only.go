package sign

import (
	"io"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp/dkim"
)

// maxTop bounds the header of a message on its way out that is looked at, in octets. What was put on top of it
// here is a fraction of that.
const maxTop = 64 << 10

// Only makes of a message from the queue what hosts get that want one signature: of those that this ring put on top
// of it, the ones by keys of other types than typ ("rsa", "ed25519") are left out. Where there is none of that type, all stay: one that a
// host does not like is better than none. Nothing else of the message is touched, and the queue keeps it whole.
func (r *Ring) Only(typ string) func(message io.Reader) (io.Reader, error) {
	return func(message io.Reader) (io.Reader, error) {
		header, whole, err := rfc2822.Peek(message, maxTop)
		if err != nil {
			return nil, err
		}
		var kept strings.Builder
		passed, found := 0, false
		for f, of := range r.top(header) {
			passed += len(f.Raw())
			found = found || of == typ
			if of == "" || of == typ {
				kept.WriteString(f.Raw())
			}
		}
		if !found {
			return whole, nil
		}
		if _, err := io.CopyN(io.Discard, whole, int64(passed)); err != nil {
			return nil, err
		}
		return io.MultiReader(strings.NewReader(kept.String()), whole), nil
	}
}

// top gives the fields down to the last of those signatures that this ring put on a message, each with the type of its key,
// which is empty for any other field. They stand together below our Received, and above whatever came.
func (r *Ring) top(header *rfc2822.Section) func(yield func(rfc2822.Field, string) bool) {
	return func(yield func(rfc2822.Field, string) bool) {
		keys := r.Keys()
		received, signed := 0, false
		for f := range header.All() {
			of := ""
			switch {
			case f.Is(dkim.FieldName):
				of = typeOf(f, keys)
			case f.Is("Received"):
				received++
			}
			if received > 1 || signed && of == "" || !yield(f, of) {
				return
			}
			signed = signed || of != ""
		}
	}
}

// typeOf is the type of the key that made a signature; empty if it is none of keys.
func typeOf(signature rfc2822.Field, keys []Key) string {
	tags := make(map[string]string)
	for tag := range strings.SplitSeq(signature.Value(), ";") {
		name, value, _ := strings.Cut(tag, "=")
		tags[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	for _, k := range keys {
		if k.Selector == tags["s"] && k.Domain == domains.Canonical(tags["d"]) {
			return k.Type
		}
	}
	return ""
}
