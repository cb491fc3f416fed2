package conf

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"reflect"
	"slices"

	"github.com/postrider-mail/postrider/parsers/config"
)

// Values are all settings by their paths, as they are written. A secret is shown as
// stars, and behind them what tells it from another one.
func (s *Settings) Values() map[string]string {
	all := make(map[string]string)
	eachSetting(reflect.ValueOf(s), func(v setting) {
		text := render(v.value)
		if secret, ok := v.value.Interface().(Secret); ok && secret != "" {
			sum := sha256.Sum256([]byte(secret))
			text += " " + hex.EncodeToString(sum[:4])
		}
		all[config.Path(v.steps...)] = text
	})
	return all
}

// Difference is a setting that two configurations do not share.
type Difference struct {
	Path    string `json:"path"`
	Running string `json:"running"` // empty where it has none
	Files   string `json:"files"`
}

// Diff compares the values of a running server with those of the files.
func Diff(running, files map[string]string) []Difference {
	all := maps.Clone(running)
	maps.Copy(all, files)
	differ := []Difference{}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if running[path] != files[path] {
			differ = append(differ, Difference{path, running[path], files[path]})
		}
	}
	return differ
}
