package user

import (
	"github.com/postrider-mail/postrider/internal/pages"
)

// junk shows what was put aside.
func (s Server) junk(r *pages.Request) (any, error) { return s.Own.Junk(r.Context(), r.Who) }

// release has what was ticked come into the mailbox.
func (s Server) release(r *pages.Request) error {
	ids := r.Form.Values("id")
	if len(ids) == 0 {
		r.Form.Wrong("", "tick what is to come into your mailbox")
		return nil
	}
	n, err := s.Own.Release(r.Context(), r.Who, ids)
	switch {
	case err != nil && n > 0:
		r.Done(pages.Count(int64(n), "message")+" came into your mailbox, and then it did not go on: "+err.Error(), "messages", n, "of", len(ids))
	case err != nil:
		return refuse(r, err, "")
	case n == 0:
		r.Form.Wrong("", "that is not there any more: it came into your mailbox before, or its time was over")
	default:
		r.Done(pages.Count(int64(n), "message")+" came into your mailbox.", "messages", n, "of", len(ids))
	}
	return nil
}
