package sealedmail

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

// TestWordList: the list is the one that recovery keys were written down with, and another version of the module that has it changes no word of it.
func TestWordList(t *testing.T) {
	l := wordList()
	const want = "abae49761b88f3f1ba31ef944bea1f61b795a3cd7e1cfb7d276ed45bf77967ba"
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(l.words, "\n")))); got != want || len(l.number) != 7776 {
		t.Errorf("%d words, %s", len(l.number), got)
	}
}
