package smtp_test

import (
	"testing"

	"github.com/postrider-mail/postrider/smtp"
)

// TestClassesByCode: what a response or a reply is follows from its first digit, and what is no reply of SMTP is passed on as a trouble of the moment.
func TestClassesByCode(t *testing.T) {
	for code, want := range map[int]struct{ positive, temporary, permanent, passed bool }{
		0: {}, 99: {}, 199: {}, 600: {}, 999: {},
		200: {positive: true, passed: true}, 250: {positive: true, passed: true}, 299: {positive: true, passed: true},
		300: {positive: true, passed: true}, 354: {positive: true, passed: true}, 399: {positive: true, passed: true},
		400: {temporary: true, passed: true}, 451: {temporary: true, passed: true}, 499: {temporary: true, passed: true},
		500: {permanent: true, passed: true}, 550: {permanent: true, passed: true}, 599: {permanent: true, passed: true},
	} {
		r := &smtp.Response{Code: code, Enhanced: "4.0.0", Text: "words"}
		if r.Positive() != want.positive || r.Temporary() != want.temporary || r.Permanent() != want.permanent {
			t.Errorf("%d: positive %v, temporary %v, permanent %v", code, r.Positive(), r.Temporary(), r.Permanent())
		}
		if own := (&smtp.Reply{Code: code}); own.Positive() != want.positive || own.Temporary() != want.temporary || own.Permanent() != want.permanent {
			t.Errorf("reply %d: positive %v, temporary %v, permanent %v", code, own.Positive(), own.Temporary(), own.Permanent())
		}
		reply := r.Reply()
		if same := reply.Code == code && reply.Enhanced == r.Enhanced && reply.Text == r.Text; same != want.passed || !same && !reply.Is(smtp.ErrTryLater) {
			t.Errorf("%d is passed on as %v", code, reply)
		}
	}
}
