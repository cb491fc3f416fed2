package daemon

import (
	"net/http"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/control"
)

// openSubmission opens the socket that every user of this host may write to,
// where the settings name one.
func (d *Daemon) openSubmission(s *conf.Settings) error {
	if s.Admin.SubmitSocket == "" {
		return nil
	}
	l, err := control.ListenMode(s.Admin.SubmitSocket, 0o666)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	d.post.Submissions(mux)
	d.submission = control.NewServer(mux)
	d.submission.ErrorLog = d.control.ErrorLog
	d.serving.Go(func() { d.submission.Serve(l) })
	return nil
}
