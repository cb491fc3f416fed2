package lineserver

import (
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// Defaults fills in the limits that nobody has set. limits points to a struct of
// int, int64 and time.Duration fields whose tags tell their defaults:
//
//	Command time.Duration `default:"5m"`
//	Errors  int           `default:"20"`
//	Burst   int           `default:"none"`
//
// Of such a field 0 means the default, and a negative value, as "none" does, no
// limit. Fields without a tag stay as they are. It panics at a tag that is no
// value of its field.
func Defaults(limits any) {
	v := reflect.ValueOf(limits).Elem()
	for i := range v.NumField() {
		text, ok := v.Type().Field(i).Tag.Lookup("default")
		if field := v.Field(i); ok && field.Int() == 0 {
			n, err := parseDefault(text, field.Type())
			if err != nil {
				panic(fmt.Sprintf("lineserver: default of %s: %v", v.Type().Field(i).Name, err))
			}
			field.SetInt(n)
		}
	}
}

func parseDefault(text string, of reflect.Type) (int64, error) {
	switch {
	case text == "none":
		return -1, nil
	case of == reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(text)
		return int64(d), err
	}
	return strconv.ParseInt(text, 10, of.Bits())
}

// Deadline is when a wait that begins now ends; never, the zero time, if the limit
// is none.
func Deadline(now time.Time, limit time.Duration) time.Time {
	if limit < 0 {
		return time.Time{}
	}
	return now.Add(limit)
}

// Earlier is the earlier of two deadlines, of which zero is never.
func Earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
