package reports

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/rfc2822"
)

// message is what was found in one message.
type message struct {
	header  rfc2822.Section
	sender  string // the address in From; "" where there is none, or several
	reports []*Report
	bounced *rfc2822.Report // it is a bounce instead
	err     error           // why something in it could not be read
}

// errNoReport: a message without anything that looks like a report.
var errNoReport = errors.New("no report in it")

// readMessage reads a message. open gives it from its beginning each time. The error is
// open's own, or one of reading: nothing is known of the message then.
func readMessage(open func() (io.ReadCloser, error)) (found *message, err error) {
	found = &message{}
	defer func() {
		if p := recover(); p != nil { // no mail ends the server
			found.err, err = fmt.Errorf("the reader failed: %v", p), nil
		}
	}()
	return found, found.read(open)
}

func (found *message) read(open func() (io.ReadCloser, error)) error {
	source, err := open()
	if err != nil {
		return err
	}
	defer source.Close()
	watched := &watch{r: source}
	m, err := rfc2822.Read(watched)
	if err != nil {
		return err
	}
	found.header, found.sender = m.Header, sender(&m.Header)
	u := &unpacker{left: maxUnpacked}
	var errs []error
	tried, bounce := false, false
	err = m.Walk(rfc2822.Limits{Parts: 100, Depth: 10, Work: 8 * maxPacked}, func(path []int, p *rfc2822.Part) error {
		if len(path) == 0 && p.MediaType == "multipart/report" && strings.EqualFold(p.Params["report-type"], "delivery-status") {
			bounce = true
			return rfc2822.ErrSkip
		}
		if p.IsMultipart() || p.IsMessage() {
			return nil
		}
		attempt, err := u.readPart(p)
		tried = tried || attempt
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", nameOf(p), err))
		}
		return nil
	})
	if watched.err != nil {
		return watched.err
	}
	found.reports, found.err = u.found, errors.Join(append(errs, err)...)
	if bounce {
		found.bounced, err = readBounce(open)
		return err
	}
	if !tried && found.err == nil {
		found.err = errNoReport
	}
	return nil
}

// watch remembers what went wrong with the source itself, which says nothing about the
// message.
type watch struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (w *watch) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// sender is the one address in From.
func sender(h *rfc2822.Section) string {
	fields := h.Named("From")
	if len(fields) != 1 {
		return ""
	}
	list, _ := rfc2822.ReadAddressList(fields[0].Value())
	if len(list) != 1 {
		return ""
	}
	return clean(list[0].Local + "@" + strings.ToLower(list[0].Domain))
}

// nameOf names a part for people.
func nameOf(p *rfc2822.Part) string {
	if name := clean(p.FileName()); name != "" {
		return fmt.Sprintf("%q", name)
	}
	return clean(p.MediaType)
}

// readPart reads a part that may be a report, which its contents say: names and media
// types are wrong as often as not. It reports whether it looks like one.
func (u *unpacker) readPart(p *rfc2822.Part) (tried bool, err error) {
	b := bufio.NewReaderSize(&limited{r: p.Decoded(), left: maxPacked}, 4096)
	begin, _ := b.Peek(4096)
	if looksEncoded(begin) { // and nobody said so
		b = bufio.NewReaderSize(base64.NewDecoder(base64.StdEncoding, b), 4096)
		begin, _ = b.Peek(4096)
	}
	if !saysReport(p) && !looksLikeReport(begin) {
		return false, nil
	}
	if len(begin) == 0 {
		return true, errors.New("empty")
	}
	return true, u.read(b, 0)
}

// looksEncoded reports whether octets are base64 of gzip, zip or XML.
func looksEncoded(begin []byte) bool {
	begin = bytes.TrimLeft(begin, " \t\r\n")
	return slices.ContainsFunc([]string{"H4sI", "UEsDB", "PD94bWw", "PGZlZWRiYWNr"}, func(s string) bool {
		return bytes.HasPrefix(begin, []byte(s))
	})
}

// looksLikeReport reports whether the first octets are those of a report, packed or not,
// rather than of a text for people.
func looksLikeReport(begin []byte) bool {
	has := func(words ...string) bool {
		lower := bytes.ToLower(begin)
		return slices.ContainsFunc(words, func(w string) bool { return bytes.Contains(lower, []byte(w)) })
	}
	switch formOf(begin) {
	case formGzip, formZip:
		return true
	case formXML:
		return !has("<html", "<body", "<div", "<!doctype html") && has("feedback", "<?xml", "f\x00e\x00e\x00d")
	case formJSON:
		return has(`"policies"`, `"report-id"`, `"organization-name"`)
	}
	return false
}

// saysReport reports whether a part is called what reports are called.
func saysReport(p *rfc2822.Part) bool {
	switch p.MediaType {
	case "application/gzip", "application/x-gzip", "application/zip", "application/x-zip", "application/x-zip-compressed", "application/xml", "text/xml",
		"application/tlsrpt+gzip", "application/tlsrpt+json", "application/json":
		return true
	}
	name := strings.ToLower(p.FileName())
	return slices.ContainsFunc([]string{".gz", ".zip", ".xml", ".json"}, func(end string) bool { return strings.HasSuffix(name, end) })
}

// limited ends an attachment that is too large.
type limited struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, errPacked
	}
	return n, err
}

// readBounce reads a message that tells of one of ours.
func readBounce(open func() (io.ReadCloser, error)) (*rfc2822.Report, error) {
	source, err := open()
	if err != nil {
		return nil, err
	}
	defer source.Close()
	m, err := rfc2822.Read(source)
	if err != nil {
		return nil, err
	}
	r, err := m.ParseReport(rfc2822.Limits{Parts: 100, Depth: 10, Work: 8 * maxPacked})
	if errors.Is(err, rfc2822.ErrNotFound) {
		return &rfc2822.Report{}, nil
	}
	return r, err
}
