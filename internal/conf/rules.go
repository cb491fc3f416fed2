package conf

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/config"
)

// The rules of a setting stand in its tag, where the manual, the check and the
// reload read them:
//
//	conf:"path"            it names a file or a folder
//	conf:"restart"         a running server does not take a change of it
//	conf:"zero"            zero means that it is not set, whatever the least is
//	min:"64KiB" max:"1m"   the least and the most, written as in a .conf file
//	why:"RFC 5321 §…"      why nothing beyond them makes sense
//	one:"none,may,verify"  the texts that it can be; an empty one is always right

// has reports whether the setting's tag has a word.
func (s setting) has(word string) bool { return hasWord(s.tag, word) }

func hasWord(tag reflect.StructTag, word string) bool {
	return slices.Contains(strings.Split(tag.Get("conf"), ","), word)
}

// ranges checks every setting against the least, the most and the choices that
// its tag allows.
func (c *checker) ranges() {
	eachSetting(reflect.ValueOf(c.Settings), func(s setting) {
		if s.value.IsZero() && s.has("zero") {
			return
		}
		if choices := s.tag.Get("one"); choices != "" {
			c.choice(s.steps, s.value.String(), append([]string{""}, strings.Split(choices, ",")...)...)
		}
		least, most := s.tag.Get("min"), s.tag.Get("max")
		small, large := "small", "large"
		if s.value.Type() == reflect.TypeFor[time.Duration]() {
			small, large = "short", "long"
		}
		why := s.tag.Get("why")
		if why != "" {
			why = " (" + why + ")"
		}
		switch shown := strings.Trim(render(s.value), `"`); {
		case least != "" && s.value.Int() < amount(s.value.Type(), least):
			c.fail(s.steps, "%s is too %s; at least %s%s", shown, small, least, why)
		case most != "" && s.value.Int() > amount(s.value.Type(), most):
			c.fail(s.steps, "%s is too %s; at most %s%s", shown, large, most, why)
		}
	})
}

// amount reads a bound as a setting of that type is written. Tags are fixed when
// the program is built; TestTags reads them all.
func amount(t reflect.Type, text string) int64 {
	n, err := parseAmount(t, text)
	if err != nil {
		panic(fmt.Sprintf("the tag of a setting: %v", err))
	}
	return n
}

func parseAmount(t reflect.Type, text string) (int64, error) {
	switch t {
	case reflect.TypeFor[time.Duration]():
		d, err := config.ParseDuration(text)
		return int64(d), err
	case reflect.TypeFor[config.Size]():
		size, err := config.ParseSize(text)
		return int64(size), err
	}
	return strconv.ParseInt(text, 10, 64)
}

// rulesText says in the manual what a setting's tag says.
func rulesText(tag reflect.StructTag) string {
	var parts []string
	if least := tag.Get("min"); least != "" && least != "0" {
		parts = append(parts, "at least "+least)
	}
	if most := tag.Get("max"); most != "" {
		parts = append(parts, "at most "+most)
	}
	text := strings.Join(parts, ", ")
	if why := tag.Get("why"); why != "" && text != "" {
		text += " (" + why + ")"
	}
	if text != "" {
		text = strings.ToUpper(text[:1]) + text[1:] + "."
	}
	if hasWord(tag, "restart") {
		text = strings.TrimSpace(text + " A change needs a restart.")
	}
	return text
}

// NeedsRestart returns an error for each setting that a server which runs with s
// cannot take over from next, with its place in the files that next came from.
func (s *Settings) NeedsRestart(next *Settings) []error {
	var errs config.Errors
	before, after := s.fixed(), next.fixed()
	for path, was := range before {
		if _, ok := after[path]; !ok {
			after[path] = setting{steps: was.steps, value: reflect.Zero(was.value.Type())}
		}
	}
	for path, is := range after {
		was, now := `not set`, render(is.value)
		if old, ok := before[path]; ok && !old.value.IsZero() {
			was = render(old.value)
		}
		if is.value.IsZero() {
			now = `not set`
		}
		if was != now {
			errs = append(errs, next.text().Errorf(is.steps, "%s cannot change while the server runs (it was %s, and is %s): restart it", path, was, now))
		}
	}
	errs.Sort()
	return errs.Unwrap()
}

// fixed are the settings that a running server cannot change, by path.
func (s *Settings) fixed() map[string]setting {
	all := make(map[string]setting)
	eachSetting(reflect.ValueOf(s), func(v setting) {
		if v.has("restart") {
			all[config.Path(v.steps...)] = v
		}
	})
	return all
}
