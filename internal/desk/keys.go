package desk

import (
	"context"
	"net/http"

	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/internal/sign"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// KeyRequest names a DKIM key, and for an import what is in its file.
type KeyRequest struct {
	Domain   string `json:"domain"`
	Selector string `json:"selector,omitempty"`
	File     string `json:"file,omitempty"` // the text of the private key
}

// keyCommands adds what can be asked about DKIM keys.
func (d *Desk) keyCommands(mux *http.ServeMux) {
	mux.HandleFunc("POST /dkim/list", func(w http.ResponseWriter, r *http.Request) {
		control.Answer(w, d.Keys.Keys(), nil)
	})
	for _, action := range []string{"rotate", "import", "revoke"} {
		mux.HandleFunc("POST /dkim/"+action, func(w http.ResponseWriter, r *http.Request) {
			var request KeyRequest
			err := control.Read(w, r, &request)
			if err == nil {
				err = SteerKey(r.Context(), d.Keys, action, request)
			}
			control.Answer(w, d.Keys.Keys(), err)
		})
	}
}

// SteerKey does to a key what an operator wants, in the running server or beside one that
// does not run: "rotate", "import" or "revoke".
func SteerKey(ctx context.Context, ring *sign.Ring, action string, r KeyRequest) error {
	domain := domains.Canonical(r.Domain)
	switch action {
	case "rotate":
		return ring.Rotate(ctx, domain)
	case "revoke":
		return ring.Revoke(ctx, domain, r.Selector)
	}
	key, err := sign.ReadKey("the key", []byte(r.File))
	if err != nil {
		return err
	}
	return ring.Import(ctx, domain, r.Selector, key)
}
