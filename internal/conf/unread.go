package conf

import (
	"bytes"
	"slices"
)

// Unread returns the files that held something else when now was read than when s was, those that are new or gone as well: whoever goes by s has
// not seen what was changed in them. Both are of the same configuration.
func (s *Settings) Unread(now *Settings) (files []string) {
	for _, name := range s.files() {
		was, _ := s.source.Text(name)
		if is, there := now.textOf(name); !there || !bytes.Equal(is, was) {
			files = append(files, name)
		}
	}
	for _, name := range now.files() {
		if _, known := s.textOf(name); !known {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	return files
}

// files are those that settings were read of; none for settings made in code.
func (s *Settings) files() []string {
	if s.source == nil {
		return nil
	}
	return s.source.Files()
}

// textOf is that of one of them.
func (s *Settings) textOf(name string) ([]byte, bool) {
	if s.source == nil {
		return nil, false
	}
	return s.source.Text(name)
}
