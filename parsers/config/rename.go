package config

import (
	"bytes"
	"fmt"
)

// Rename returns src with the key at path, which stands in an object, changed to
// another; its value, its comments and the layout stay. A key that stands twice is
// changed in all its places. It is not an error if there is no such key, but it is
// one if its object has the other already.
func Rename(src []byte, to string, path ...string) ([]byte, error) {
	e, err := edit(src)
	if err != nil || e.root == nil || len(path) == 0 {
		return src, err
	}
	key := path[len(path)-1]
	parent, rest, err := e.walk(path[:len(path)-1])
	if err != nil || len(rest) > 0 || parent.kind != kindObject || key == to {
		return src, err
	}
	var cuts []cut
	for _, s := range parent.elements() {
		switch s.key {
		case to:
			return nil, parent.file.errorAt(s.start, fmt.Errorf("there is a %q already", to))
		case key:
			cuts = append(cuts, cut{s.start, s.start + lengthOfString(src[s.start:]), quote(to)})
		}
	}
	return splice(src, cuts...), nil
}

// lengthOfString is how long the JSON string is that a text begins with.
func lengthOfString(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return bytes.IndexByte(text, '\n')
}
