package house_test

import (
	"reflect"
	"testing"

	"github.com/postrider-mail/postrider/pop3"
	"github.com/postrider-mail/postrider/smtp"
)

// TestLimits: every limit of a server has a default in its tag, and what bounds
// connections, whatever they speak, is the same for all servers.
func TestLimits(t *testing.T) {
	ours := reflect.TypeFor[smtp.Limits]()
	theirs := reflect.TypeFor[pop3.Limits]()
	for _, l := range []reflect.Type{ours, theirs} {
		for i := range l.NumField() {
			f := l.Field(i)
			if f.Type.Kind() != reflect.Slice && f.Tag.Get("default") == "" {
				t.Errorf("%v.%s has no default", l, f.Name)
			}
		}
	}
	for _, name := range []string{"Line", "Errors", "AuthErrors", "Handshake", "Reply", "Conns", "ConnsPerBlock", "ConnsPerMinute", "FreeFrom", "Patience"} {
		a, ok := ours.FieldByName(name)
		b, ok2 := theirs.FieldByName(name)
		if !ok || !ok2 || a.Tag != b.Tag || a.Type != b.Type {
			t.Errorf("%s: %v `%s` and %v `%s`", name, a.Type, a.Tag, b.Type, b.Tag)
		}
	}
}
