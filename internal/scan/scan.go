package scan

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/smtp"
)

// Settings say which scanner is asked, and what is done with its answers.
type Settings struct {
	URL      string // of rspamd's normal worker, "http://127.0.0.1:11333"
	Password string // of that worker; empty: it wants none
	// Wait is how long the scanner may take for a piece of a message, and for its answer behind the last one.
	Wait time.Duration
	// MaxSize is how many octets of a message it is given; larger ones are not scanned. 0 is any number.
	MaxSize int64
	// Later refuses for now what could not be scanned; else it is taken.
	Later bool
	// Greylist has the client come again where the scanner wants it to; else that is not heard.
	Greylist bool
}

// Scanner is a post.Inspector. Its fields must not be changed while it works; it may be used concurrently.
type Scanner struct {
	// Settings are those of the moment; nil: nothing is scanned.
	Settings func() *Settings
	// Scanned is told what came of each message, in one of Outcomes, and how long that took; nil: nobody is.
	Scanned func(outcome string, took time.Duration)
	// Marked reports whether a session's message has got the fields of junk from somebody else; nil: no.
	Marked func(*smtp.Session) bool
	Log    *slog.Logger

	// Transport carries the requests; nil is http.DefaultTransport.
	Transport http.RoundTripper

	breaker breaker
}

// Outcomes are what can come of a scan.
var Outcomes = []string{"clean", "marked", "refused", "later", "discarded", "failed", "skipped"}

// Sender implements post.Inspector: nothing is known yet.
func (s *Scanner) Sender(context.Context, *smtp.Session, smtp.Path, bool) error { return nil }

// Inspect implements post.Inspector: mail of strangers is scanned, that of users and of programs of this
// host is not.
func (s *Scanner) Inspect(ctx context.Context, look *post.Look) post.Inspection {
	set := s.Settings()
	if set == nil || look.Trusted || look.Envelope.Session == nil || look.Envelope.Session.LMTP {
		return nil
	}
	i := &inspection{s: s, set: set, session: look.Envelope.Session, began: time.Now()}
	if !s.breaker.may(time.Now()) {
		i.failed = errResting
		return i
	}
	i.begin(ctx, look)
	return i
}

// Problem is what is wrong with the scanner, for who looks after the server; empty: nothing.
func (s *Scanner) Problem() string {
	if set := s.Settings(); set == nil {
		return ""
	}
	if since, err := s.breaker.broken(); err != nil {
		return "the scanner has not answered since " + since.Format(time.DateTime) + ": " + err.Error() + "; look at its log, and at Verify.Scanner"
	}
	return ""
}

// errResting: the scanner has failed several times, and is left alone for a while.
var errResting = errors.New("the scanner has failed several times and is asked again in a minute")

// errTooLarge: the message has more octets than the scanner is given.
var errTooLarge = errors.New("the message is too large to be scanned")

// inspection is one message that passes.
type inspection struct {
	s       *Scanner
	set     *Settings
	pipe    *io.PipeWriter
	cancel  context.CancelCauseFunc
	answer  chan answer
	size    int64
	session *smtp.Session
	idle    *time.Timer // ends a scan whose message is given up
	began   time.Time
	failed  error // why there will be no answer
}

type answer struct {
	verdict *verdict
	err     error
}

// begin starts the request, whose body is what will be written.
func (i *inspection) begin(ctx context.Context, look *post.Look) {
	ctx, i.cancel = context.WithCancelCause(ctx)
	var body *io.PipeReader
	body, i.pipe = io.Pipe()
	i.answer = make(chan answer, 1)
	i.idle = time.AfterFunc(mostIdle, func() { i.cancel(errSlow); i.pipe.CloseWithError(errSlow) })
	req, err := request(ctx, i.set, look, body)
	if err != nil {
		i.fail(err)
		return
	}
	go func() {
		v, err := ask(i.s.Transport, req)
		// Whoever still writes is let go.
		body.CloseWithError(errors.Join(err, io.ErrClosedPipe))
		i.answer <- answer{v, err}
	}()
	io.WriteString(i, look.Completed+look.Header.String())
}

// mostIdle is how long a scan waits for the next piece of its message; a session gives up sooner.
const mostIdle = 10 * time.Minute

// errSlow: the scanner did not read or answer in time.
var errSlow = errors.New("the scanner is too slow")

// Write implements io.Writer. It never fails: what becomes of the scan is told by Findings.
func (i *inspection) Write(p []byte) (int, error) {
	i.size += int64(len(p))
	switch {
	case i.failed != nil || len(p) == 0:
		return len(p), nil
	case i.set.MaxSize > 0 && i.size > i.set.MaxSize:
		i.fail(errTooLarge)
		return len(p), nil
	}
	i.idle.Reset(mostIdle)
	late := time.AfterFunc(i.set.Wait, func() { i.cancel(errSlow); i.pipe.CloseWithError(errSlow) })
	_, err := i.pipe.Write(p)
	late.Stop()
	// A scanner may know enough before the end, and answer: that is for Findings to see.
	if errors.Is(err, errSlow) {
		i.fail(errSlow)
	}
	return len(p), nil
}

func (i *inspection) fail(err error) {
	i.failed = err
	if i.cancel != nil {
		i.cancel(err)
	}
	if i.pipe != nil {
		i.pipe.CloseWithError(err)
	}
}

// mostFields is how many octets the fields of a verdict may have.
const mostFields = 2000

// Most implements post.Inspection.
func (i *inspection) Most() (results, fields int) { return mostFields, 0 }

// Findings implements post.Inspection.
func (i *inspection) Findings(ctx context.Context) (found post.Findings, err error) {
	v, err := i.wait(ctx)
	if i.cancel != nil {
		i.cancel(nil)
	}
	if i.idle != nil {
		i.idle.Stop()
	}
	switch {
	case errors.Is(err, errTooLarge):
		i.tell("skipped")
		found.Results = verify.Unscanned("rspamd")
		return found, nil
	case err != nil:
		return i.without(err)
	}
	i.s.breaker.worked(i.s.Log)
	return i.of(v)
}

// wait is the scanner's verdict.
func (i *inspection) wait(ctx context.Context) (*verdict, error) {
	if i.failed != nil {
		return nil, i.failed
	}
	i.pipe.Close()
	t := time.NewTimer(i.set.Wait)
	defer t.Stop()
	select {
	case a := <-i.answer:
		return a.verdict, a.err
	case <-t.C:
		return nil, errSlow
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// without is what is done where the scanner has said nothing.
func (i *inspection) without(err error) (found post.Findings, _ error) {
	i.tell("failed")
	if !errors.Is(err, errResting) {
		i.s.breaker.failed(time.Now(), err, i.s.Log)
	}
	facts := []slog.Attr{slog.String("scan", "failed")}
	if i.set.Later {
		return found, (&smtp.Reply{Code: 451, Enhanced: "4.3.0", Text: "The message cannot be checked now; try again later"}).Noting(facts...)
	}
	found.Facts, found.Results = facts, verify.Unscanned("rspamd")
	return found, nil
}

func (i *inspection) tell(outcome string) {
	if i.s.Scanned != nil {
		i.s.Scanned(outcome, time.Since(i.began))
	}
}

// of is what is done with a verdict.
func (i *inspection) of(v *verdict) (found post.Findings, err error) {
	facts := []slog.Attr{slog.String("scan", v.Action), slog.String("score", strconv.FormatFloat(v.Score, 'f', 1, 64))}
	found.Facts = facts
	switch v.Action {
	case "reject":
		i.tell("refused")
		return found, (&smtp.Reply{Code: 550, Enhanced: "5.7.1", Text: v.words("The message was taken for junk and is refused")}).Noting(facts...)
	case "soft reject":
		i.tell("later")
		return found, (&smtp.Reply{Code: 451, Enhanced: "4.7.1", Text: v.words("The message is not taken now; try again later")}).Noting(facts...)
	case "greylist":
		if i.set.Greylist {
			i.tell("later")
			return found, (&smtp.Reply{Code: 450, Enhanced: "4.7.1", Text: "The message is not taken yet; try again in some minutes"}).Noting(facts...)
		}
		i.tell("clean")
	case "add header", "rewrite subject": // a subject is never changed here
		i.tell("marked")
		found.Junk, found.Aside = true, v.why()
		if i.s.Marked == nil || !i.s.Marked(i.session) {
			found.Results = verify.Marks(found.Aside)
		}
	default:
		i.tell("clean")
	}
	return found, nil
}
