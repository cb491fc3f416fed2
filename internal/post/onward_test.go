package post

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// sized are mailboxes with room for messages of so many octets each, or that cannot tell.
type sized struct {
	Mailboxes
	room map[string]int64
	err  error
}

func (s sized) Room(_ context.Context, mailbox string, size int64) error {
	if s.err != nil {
		return s.err
	}
	if size > s.room[mailbox] {
		return fmt.Errorf("%s: %w", mailbox, mailstore.ErrOverQuota)
	}
	return nil
}

// TestRoomToGiveBack: who keeps no copy is refused if the message with all that stands on top of it would not fit were it to come back;
// who has failed already, or whose disk does not answer, is not judged by this.
func TestRoomToGiveBack(t *testing.T) {
	const body = 1000
	onTop := &top{returnPath: "Return-Path: <a@b.example>\r\n", results: "Authentication-Results: x; none\r\n"}
	whole := int64(body + len(onTop.returnPath) + len(onTop.results))
	ask := func(m sized, failed ...domains.Address) error {
		d := &delivery{r: &Receiver{Post: &Post{Mailboxes: m}}, m: &message{top: onTop}, size: body,
			to: &plan{released: map[domains.Address]bool{"ann@a.example": true, "bob@a.example": true}, failed: make(map[domains.Address]error)}}
		for _, f := range failed {
			d.to.failed[f] = errors.New("gone")
		}
		return d.roomToGiveBack(t.Context())
	}
	room := func(ann, bob int64) sized {
		return sized{room: map[string]int64{"ann@a.example": ann, "bob@a.example": bob}}
	}
	if err := ask(room(whole, whole)); err != nil {
		t.Errorf("as much as it takes: %v", err)
	}
	var refused *mailstore.Refused
	if err := ask(room(whole, whole-1)); !errors.As(err, &refused) || len(refused.Mailboxes) != 1 || refused.Mailboxes["bob@a.example"] == nil {
		t.Errorf("one octet less for one: %v", err)
	}
	if err := ask(room(whole, 0), "bob@a.example"); err != nil {
		t.Errorf("who has failed: %v", err)
	}
	if err := ask(sized{err: errors.New("input/output error")}); err != nil {
		t.Errorf("nobody knows: %v", err)
	}
}
