package sealedmail_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
)

// TestWords: a recovery key is the same written as words, in whatever case and however they are spaced; a slip in one is found.
func TestWords(t *testing.T) {
	k, _ := newKeyring(t)
	u := unlock(t, k, "password")
	for range 200 {
		recovery, err := k.NewRecovery(u)
		if err != nil {
			t.Fatal(err)
		}
		words, err := sealedmail.RecoveryWords(recovery)
		if err != nil || len(strings.Fields(words)) != 14 {
			t.Fatalf("%q, %v", words, err)
		}
		want, err := sealedmail.ParseRecovery(recovery)
		if err != nil {
			t.Fatal(err)
		}
		for _, written := range []string{words, strings.ToUpper(words), "\t" + strings.ReplaceAll(words, " ", " \r\n "), strings.ToUpper(recovery)} {
			if got, err := sealedmail.ParseRecovery(written); got != want || err != nil {
				t.Fatalf("%q: %q, %v", written, got, err)
			}
		}
		if _, err := k.Recover(words); err != nil {
			t.Fatalf("%q: %v", words, err)
		}
		all := strings.Fields(words)
		for i := range all {
			for _, other := range []string{"abacus", "zoom", "wrod"} {
				slip := append(append([]string{}, all[:i]...), append([]string{other}, all[i+1:]...)...)
				if _, err := k.Recover(strings.Join(slip, " ")); all[i] != other && !errors.Is(err, sealedmail.ErrRecovery) && !errors.Is(err, sealedmail.ErrPassword) {
					t.Fatalf("%q: %v", slip, err)
				}
			}
		}
		all[0], all[1] = all[1], all[0]
		if _, err := k.Recover(strings.Join(all, " ")); all[0] != all[1] && !errors.Is(err, sealedmail.ErrRecovery) && !errors.Is(err, sealedmail.ErrPassword) { // the check of 20 bits may fit by chance
			t.Fatalf("exchanged: %v", err)
		}
	}
	for _, text := range []string{"", strings.Repeat("zoom ", 14), strings.Repeat("abacus ", 13), strings.Repeat("abacus ", 15)} {
		if _, err := sealedmail.ParseRecovery(text); !errors.Is(err, sealedmail.ErrRecovery) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestWordsStay: what somebody wrote down is read by every later version. Never change it.
func TestWordsStay(t *testing.T) {
	for recovery, words := range map[string]string{
		"aeba-gbaf-aydq-qcik-bmga-2dqp-cair-eeyu-engr": "absence tracing unmoral dropbox rockband customary marauding slept timid stride perennial delicate gents stubborn",
		"7777-7777-7777-7777-7777-7777-7777-zzzz-nvzq": "multiple irritably pursuable hurried underpay blunt serotonin depict commotion bonfire sprawl cofounder backer gigolo",
	} {
		if got, err := sealedmail.RecoveryWords(recovery); got != words || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
}
