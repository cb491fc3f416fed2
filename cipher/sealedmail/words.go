package sealedmail

import (
	"fmt"
	"math/big"
	"strings"
	"sync"

	"github.com/sethvargo/go-diceware/diceware"
)

// A recovery key as words is the same 180 bits, secret and check, as a number whose digits are words: the 7776 of the EFF's long list
// (https://www.eff.org/dice), which has none that are taken for another. A key that was written down as words must be read for ever: a test holds the list.

// recoveryWords is how many they are: 7776 to that power is more than 2 to the power of 180.
const recoveryWords = 14

// wordList is made once it is asked for.
var wordList = sync.OnceValue(func() (l struct {
	words  []string
	number map[string]int
}) {
	all := diceware.WordListEffLarge()
	l.number = make(map[string]int)
	for n := range 6 * 6 * 6 * 6 * 6 {
		dice := 0 // as five dice show it
		for at, left := 1, n; at < 100_000; at, left = at*10, left/6 {
			dice += at * (left%6 + 1)
		}
		w := all.WordAt(dice)
		l.words, l.number[w] = append(l.words, w), n
	}
	return l
})

// RecoveryWords is a recovery key as words, with blanks between. ParseRecovery reads them. The error is ErrRecovery.
func RecoveryWords(recovery string) (string, error) {
	secret, err := ParseRecovery(recovery)
	if err != nil {
		return "", err
	}
	n := new(big.Int)
	for _, c := range secret + check(secret) {
		n.Lsh(n, 5).Or(n, big.NewInt(int64(strings.IndexRune(string(letters), c))))
	}
	list := wordList()
	words := make([]string, recoveryWords)
	for i := recoveryWords - 1; i >= 0; i-- {
		var digit big.Int
		n.DivMod(n, big.NewInt(int64(len(list.words))), &digit)
		words[i] = list.words[digit.Int64()]
	}
	return strings.Join(words, " "), nil
}

// parseWords gives the letters of a recovery key that is written as words.
func parseWords(words []string) (string, error) {
	list := wordList()
	n := new(big.Int)
	for i, w := range words {
		digit, ok := list.number[strings.ToLower(w)]
		if !ok {
			return "", fmt.Errorf("%w: word %d is none of the list", ErrRecovery, i+1)
		}
		n.Mul(n, big.NewInt(int64(len(list.words)))).Add(n, big.NewInt(int64(digit)))
	}
	all := make([]byte, recoveryLength+checkLength)
	for i := len(all) - 1; i >= 0; i-- {
		all[i] = letters[new(big.Int).And(n, big.NewInt(31)).Int64()]
		n.Rsh(n, 5)
	}
	if n.Sign() != 0 {
		return "", ErrRecovery
	}
	return string(all), nil
}
