package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/internal/quarantine"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// aside is where one set of settings has mail put aside; nil: nowhere.
func aside(s *conf.Settings) func(domains.Address) (domains.Address, bool) {
	book, setting := s.Book(), s.Verify.Quarantine
	if setting == "" {
		return nil
	}
	shared := !strings.HasPrefix(setting, "+")
	return func(account domains.Address) (domains.Address, bool) {
		return book.QuarantineOf(setting, account), shared
	}
}

// quarantine is what was put aside, by the settings of the moment.
func (d *Daemon) quarantine() *quarantine.Places {
	s := d.state().settings
	return &quarantine.Places{Store: d.store, Boxes: s.Quarantines(s.Book())}
}

// emptyQuarantine takes away what has been there for long enough.
func (d *Daemon) emptyQuarantine(ctx context.Context) {
	n, err := d.quarantine().Expire(ctx, d.state().settings.Verify.QuarantineKeep)
	if n > 0 {
		d.log.Info("old mail in quarantine was removed", "messages", n)
	}
	if err != nil && ctx.Err() == nil {
		d.log.Warn("old mail in quarantine stays", "err", err)
	}
}

// QuarantineRequest names a message that was put aside.
type QuarantineRequest struct {
	ID     string `json:"id,omitempty"`
	Anyway bool   `json:"anyway,omitempty"` // release it though a scanner has found something in it
}

// QuarantineList is what was put aside, and why not all can be seen.
type QuarantineList struct {
	Items   []quarantine.Item `json:"items"`
	Keep    string            `json:"keep"`              // how long it stays
	Problem string            `json:"problem,omitempty"` // why not all is here
}

// mostShown is how much of a message is shown, in octets.
const mostShown = 1 << 20

// quarantineCommands adds what can be asked about mail that was put aside.
func (d *Daemon) quarantineCommands(mux *http.ServeMux) {
	actions := map[string]func(context.Context, QuarantineRequest) (any, error){
		"list": func(ctx context.Context, _ QuarantineRequest) (any, error) {
			items, err := d.quarantine().List(ctx)
			list := QuarantineList{Items: items, Keep: d.state().settings.Verify.QuarantineKeep.String()}
			if err != nil {
				list.Problem = err.Error()
			}
			return list, nil
		},
		"show": func(ctx context.Context, r QuarantineRequest) (any, error) {
			text := new(preview)
			err := d.quarantine().Show(ctx, r.ID, text)
			return text.String(), err
		},
		"release": func(ctx context.Context, r QuarantineRequest) (any, error) {
			item, err := d.quarantine().Release(ctx, r.ID, r.Anyway)
			if err == nil {
				d.log.Info("released from quarantine", "uid", item.ID, "mailbox", item.Mailbox, "to", fmt.Sprint(item.For))
			}
			return item, err
		},
	}
	for name, act := range actions {
		mux.HandleFunc("POST /quarantine/"+name, func(w http.ResponseWriter, r *http.Request) {
			var request QuarantineRequest
			var out any
			err := control.Read(w, r, &request)
			if err == nil {
				out, err = act(r.Context(), request)
			}
			control.Answer(w, out, err)
		})
	}
}

// preview is as much of a message as is shown.
type preview struct{ bytes.Buffer }

// Write implements io.Writer.
func (s *preview) Write(p []byte) (int, error) {
	s.Buffer.Write(p[:min(len(p), mostShown-s.Len())])
	return len(p), nil
}

// ReadFrom implements io.ReaderFrom, within the bound.
func (s *preview) ReadFrom(r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{s}, r) }
