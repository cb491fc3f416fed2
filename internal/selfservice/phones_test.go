package selfservice

import (
	"testing"
	"time"
)

// TestPhones: a link is good for ten minutes, and for one device.
func TestPhones(t *testing.T) {
	var p phones
	now := time.Now()
	p.begin("alice@mail.test", "phone", "", "s", now)
	p.begin("bob@mail.test", "tablet", "2030-01-01", "s", now)
	token := p.of("bob@mail.test", now).Token
	if account, one, ok := p.take(token, now.Add(phoneLife)); !ok || account != "bob@mail.test" || one.last != "2030-01-01" || one.Name != "tablet" {
		t.Error(account, one, ok)
	}
	if _, _, ok := p.take(token, now); ok {
		t.Error("twice")
	}
	if _, _, ok := p.take("", now); ok {
		t.Error("without a token")
	}
	if p.of("alice@mail.test", now.Add(phoneLife+time.Second)) != nil {
		t.Error("it is shown after its time")
	}
	p.begin("alice@mail.test", "phone", "", "s", now)
	token = p.of("alice@mail.test", now).Token
	if _, _, ok := p.take(token, now.Add(phoneLife+time.Second)); ok {
		t.Error("after its time")
	}
}
