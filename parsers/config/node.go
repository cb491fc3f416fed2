package config

import (
	"strconv"
	"strings"
)

type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindList
	kindObject
)

// node is one value and where it stands.
type node struct {
	kind       kind
	start, end int // offsets in file.text
	file       *file
	text       string // the string itself, or the literal of a number or bool
	items      []*node
	members    []*member
	index      map[string]*member // made when there are many
}

type member struct {
	key        string
	start, end int // the key's own offsets, quotes included, in file.text
	file       *file
	value      *node
	also       []*member // objects under the same key that were merged into value
}

// few is how many members are looked through one by one.
const few = 8

func (n *node) member(key string) *member {
	if n.index != nil {
		return n.index[key]
	}
	for _, m := range n.members {
		if m.key == key {
			return m
		}
	}
	return nil
}

// child returns the value one step on, a key or a position, or nil.
func (n *node) child(step any) *node {
	if n == nil {
		return nil
	}
	switch step := step.(type) {
	case string:
		if m := n.member(step); m != nil {
			return m.value
		}
	case int:
		if step >= 0 && step < len(n.items) {
			return n.items[step]
		}
	}
	return nil
}

func (n *node) add(m *member) {
	n.members = append(n.members, m)
	switch {
	case n.index != nil:
		n.index[m.key] = m
	case len(n.members) > few:
		n.index = make(map[string]*member, 2*len(n.members))
		for _, m := range n.members {
			n.index[m.key] = m
		}
	}
}

// found names what stands there, without repeating a text that may be secret.
func (n *node) found() string {
	switch n.kind {
	case kindBool:
		return n.text
	case kindNumber:
		return "the number " + n.text
	case kindString:
		return "a text in quotes"
	case kindList:
		return "a list"
	case kindObject:
		return "an object"
	}
	return "null"
}

// Path writes the way to a value as errors and Origins do: keys are strings
// joined by dots, positions in lists are ints in brackets. A key that is not
// of letters, digits, "_" and "-" only is quoted:
//
//	SMTP.max_message_size   Listeners[0].address   Accounts."alice@example.com".quota
func Path(steps ...any) string {
	path := ""
	for _, s := range steps {
		switch s := s.(type) {
		case string:
			path = childPath(path, s)
		case int:
			path = itemPath(path, s)
		}
	}
	return path
}

func childPath(path, key string) string {
	plain := key != "" && strings.IndexFunc(key, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	}) < 0
	if !plain {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func itemPath(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
