package admin

import (
	"errors"

	"github.com/postrider-mail/postrider/internal/pages"
)

// Wrong is a value that the server does not take: the form comes back with it, and with the reason beside the field.
type Wrong struct {
	Field, Why string
}

// Error implements error.
func (w *Wrong) Error() string { return w.Why }

// ErrOutdated: what is to be changed is no longer what the page has shown.
var ErrOutdated = errors.New("nothing was changed: somebody has changed this since the page was shown, which shows now how it is")

// refused puts an error beside its field. Any other is for the whole form, and for the caller to return.
func refused(r *pages.Request, err error) error {
	if w := (*Wrong)(nil); errors.As(err, &w) {
		r.Form.Wrong(w.Field, w.Why)
		return nil
	}
	return err
}

// rowsOnPage is how much of a list one page has.
const rowsOnPage = 50

// Slice is which part of a list is asked for, and the part that there is.
type Slice struct {
	Find  string // in the names; empty: all
	After string // the name that the part before ended with
	Limit int
}

// slice is what the address of a page asks for.
func slice(r *pages.Request) Slice {
	q := r.URL.Query()
	return Slice{Find: q.Get("find"), After: q.Get("after"), Limit: rowsOnPage}
}
