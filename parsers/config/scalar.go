package config

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// errKind: the value is not of the kind that the Go type wants.
var errKind = errors.New("wrong kind")

// readers reads types whose own UnmarshalText is missing or too narrow for
// what people write.
var readers = map[reflect.Type]func(reflect.Value, string) error{
	reflect.TypeFor[time.Duration](): func(v reflect.Value, s string) error {
		d, err := ParseDuration(s)
		v.SetInt(int64(d))
		return err
	},
	reflect.TypeFor[slog.Level](): func(v reflect.Value, s string) error {
		var level slog.Level
		if strings.ContainsAny(s, "+-") || level.UnmarshalText([]byte(s)) != nil {
			return fmt.Errorf("%q is not one of \"debug\", \"info\", \"warn\" and \"error\"", s)
		}
		v.SetInt(int64(level))
		return nil
	},
	reflect.TypeFor[netip.Prefix](): func(v reflect.Value, s string) error {
		p, err := ParsePrefix(s)
		v.Set(reflect.ValueOf(p))
		return err
	},
}

// ParsePrefix reads a network ("10.0.0.0/8", "2001:db8::/32") or one address,
// which is the network of itself alone. Bits set beyond the prefix are an
// error: it is not clear what was meant.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not a network; write one like \"10.0.0.0/8\" or \"2001:db8::/32\"", s)
	}
	if p.Masked() != p {
		return netip.Prefix{}, fmt.Errorf("%q is an address within a network; write %q for the network or %q for the address",
			s, p.Masked(), p.Addr())
	}
	return p, nil
}

func isNumeric(k reflect.Kind) bool {
	return k >= reflect.Int && k <= reflect.Float64 && k != reflect.Uintptr
}

// setScalar puts a string, number or bool into v.
func setScalar(n *node, v reflect.Value) error {
	switch k := v.Kind(); {
	case k == reflect.String:
		if n.kind != kindString {
			return errKind
		}
		v.SetString(n.text)
	case k == reflect.Bool:
		if n.kind != kindBool {
			return errKind
		}
		v.SetBool(n.text == "true")
	case !isNumeric(k) || n.kind != kindNumber:
		return errKind
	case v.CanInt():
		i, err := strconv.ParseInt(n.text, 10, v.Type().Bits())
		if err != nil {
			return badInt(n.text, err)
		}
		v.SetInt(i)
	case v.CanUint():
		u, err := strconv.ParseUint(n.text, 10, v.Type().Bits())
		if err != nil {
			return badInt(n.text, err)
		}
		v.SetUint(u)
	default:
		f, err := strconv.ParseFloat(n.text, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%s is too large", n.text)
		}
		v.SetFloat(f)
	}
	return nil
}

func badInt(text string, err error) error {
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("%s is too large", text)
	}
	if text[0] == '-' {
		return fmt.Errorf("%s should be a whole number that is not negative", text)
	}
	return fmt.Errorf("%s should be a whole number", text)
}

// wanted says in a user's words what a value of type t looks like. found
// helps with the commonest slips.
func wanted(t reflect.Type, found *node) string {
	isText := found.kind == kindString
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return `a duration in quotes, like "30s", "5m" or "5d",`
	case t == reflect.TypeFor[Size]():
		return `a size, like "50MB" or "64KiB",`
	case t == reflect.TypeFor[netip.Prefix]():
		return `a network in quotes, like "10.0.0.0/8",`
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) && !isContainer(t.Kind()):
		return "a text in quotes"
	}
	switch k := t.Kind(); {
	case k == reflect.Bool && isText:
		return "true or false (without quotes)"
	case k == reflect.Bool:
		return "true or false"
	case k == reflect.String:
		return "a text in quotes"
	case isNumeric(k) && isText:
		return "a number (without quotes)"
	case isNumeric(k):
		return "a number"
	case k == reflect.Slice || k == reflect.Array:
		return "a list [...]"
	case k == reflect.Struct || k == reflect.Map:
		return "an object {...}"
	}
	return "something else"
}

// plain gives a value as encoding/json gives it for an any, but a number that
// no float64 holds as a json.Number.
func (n *node) plain() any {
	switch n.kind {
	case kindBool:
		return n.text == "true"
	case kindNumber:
		f, err := strconv.ParseFloat(n.text, 64)
		if err != nil || !strings.ContainsAny(n.text, ".eE") && !exactly(n.text, f) {
			return json.Number(n.text)
		}
		return f
	case kindString:
		return n.text
	case kindList:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			list[i] = item.plain()
		}
		return list
	case kindObject:
		object := make(map[string]any, len(n.members))
		for _, m := range n.members {
			object[m.key] = m.value.plain()
		}
		return object
	}
	return nil
}

// exactly reports whether f is the whole number text.
func exactly(text string, f float64) bool {
	const most = 1 << 53 // all whole numbers below have a float64
	if f > -most && f < most {
		return true
	}
	return strconv.FormatFloat(f, 'f', 0, 64) == text
}

// appendJSON writes the value as plain JSON, for types with UnmarshalJSON.
func (n *node) appendJSON(b []byte) []byte {
	switch n.kind {
	case kindNull:
		return append(b, "null"...)
	case kindString:
		return append(b, quote(n.text)...)
	case kindList:
		b = append(b, '[')
		for i, item := range n.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.appendJSON(b)
		}
		return append(b, ']')
	case kindObject:
		b = append(b, '{')
		for i, m := range n.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(b, quote(m.key)...), ':')
			b = m.value.appendJSON(b)
		}
		return append(b, '}')
	}
	return append(b, n.text...)
}
