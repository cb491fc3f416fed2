package sasl_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// turn is what a server says to a response.
type turn struct {
	challenge []byte
	done      bool
	err       error
}

// script is a Server that says what is written.
type script struct {
	turns []turn
	heard []string
}

func (s *script) Next(_ context.Context, response []byte) (challenge []byte, account string, done bool, err error) {
	heard := "-"
	if response != nil {
		heard = string(response)
	}
	s.heard = append(s.heard, heard)
	next := s.turns[0]
	s.turns = s.turns[1:]
	return next.challenge, "bob", next.done, next.err
}

func TestExchange(t *testing.T) {
	gone := errors.New("gone")
	more, last, end := turn{challenge: []byte("c")}, turn{challenge: []byte("v"), done: true}, turn{done: true}
	for name, test := range map[string]struct {
		initial   []byte
		turns     []turn
		responses []string // "!" fails
		heard     []string
		err       error
	}{
		"at once":                       {[]byte("i"), []turn{end}, nil, []string{"i"}, nil},
		"an empty initial response":     {[]byte{}, []turn{end}, nil, []string{""}, nil},
		"without one":                   {nil, []turn{more, end}, []string{"a"}, []string{"-", "a"}, nil},
		"an empty challenge":            {nil, []turn{{challenge: []byte{}}, end}, []string{""}, []string{"-", ""}, nil},
		"many turns":                    {nil, []turn{more, more, more, end}, []string{"a", "b", "c"}, []string{"-", "a", "b", "c"}, nil},
		"a last word of the server":     {nil, []turn{more, last}, []string{"a", ""}, []string{"-", "a"}, nil},
		"an answer to the last word":    {nil, []turn{more, last}, []string{"a", "x"}, []string{"-", "a"}, sasl.ErrMalformed},
		"denied":                        {nil, []turn{more, {err: sasl.ErrDenied}}, []string{"a"}, []string{"-", "a"}, sasl.ErrDenied},
		"the client is gone":            {nil, []turn{more}, []string{"!"}, []string{"-"}, gone},
		"the client is gone at the end": {nil, []turn{last}, []string{"!"}, []string{"-"}, gone},
	} {
		s := &script{turns: test.turns}
		var given [][]byte
		if test.initial != nil {
			given = append(given, test.initial)
		}
		account, err := sasl.Exchange(t.Context(), s, test.initial, func([]byte) ([]byte, error) {
			r := []byte(test.responses[0])
			test.responses = test.responses[1:]
			if string(r) == "!" {
				return nil, gone
			}
			given = append(given, r)
			return r, nil
		})
		if !errors.Is(err, test.err) || (err == nil) != (account == "bob") || err != nil && account != "" {
			t.Errorf("%s: %q, %v", name, account, err)
		}
		if !slices.Equal(s.heard, test.heard) {
			t.Errorf("%s: heard %q, want %q", name, s.heard, test.heard)
		}
		for i, r := range given[:min(len(given), len(s.heard))] {
			if slices.ContainsFunc(r, func(b byte) bool { return b != 0 }) && test.err != sasl.ErrMalformed {
				t.Errorf("%s: response %d was not wiped", name, i)
			}
		}
		if len(test.responses) > 0 {
			t.Errorf("%s: %q was not asked for", name, test.responses)
		}
	}
}

func TestDecodeResponse(t *testing.T) {
	for text, want := range map[string]string{"=": "", "": "", "YQ==": "a", "YWJj": "abc"} {
		b := []byte(text)
		got, err := sasl.DecodeResponse(b)
		if err != nil || got == nil || string(got) != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		if len(text) > 1 && slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) {
			t.Errorf("%q was not wiped", text)
		}
	}
	for _, text := range []string{"YQ", "YR==", "Y Q=", "*", "é", "=="} {
		if got, err := sasl.DecodeResponse([]byte(text)); err != sasl.ErrMalformed || got != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
