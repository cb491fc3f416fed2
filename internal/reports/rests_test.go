package reports

import (
	"testing"
	"time"
)

// TestRestsOfNobody: what another program left among those who rest does not stop the server, and nobody else's rest.
func TestRestsOfNobody(t *testing.T) {
	cache := &memory{m: make(map[string][]byte)}
	old := recallRests(cache)
	now := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	id := func(r *rests) string { return r.messageID(now, "ours.example", "a@big.example", "mail.ours.example") }
	if !old.bounced(id(old), "a@big.example", now) {
		t.Fatal("not one of ours")
	}
	old.kept.Rest["b@big.example"] = nil
	if err := old.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := recallRests(cache)
	if !r.resting("a@big.example", now.Add(time.Hour)) || r.resting("b@big.example", now) {
		t.Error("somebody else rests")
	}
	if !r.bounced(id(r), "a@big.example", now.Add(25*time.Hour)) || !r.resting("a@big.example", now.Add(72*time.Hour)) {
		t.Error("the second bounce has no longer rest")
	}
}
