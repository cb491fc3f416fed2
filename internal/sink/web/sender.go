package web

import (
	"errors"
	"net/http"
	"net/netip"

	"github.com/postrider-mail/postrider/internal/sink"
)

// inboxSender says what SPF, DKIM and DMARC would say of a message. The DNS is asked because somebody wants it, and never
// because a page is looked at.
func (s *Server) inboxSender(w http.ResponseWriter, r *http.Request) {
	ask, leaving, err := s.judging(r)
	if err != nil {
		bad(w, err)
		return
	}
	if ask && led(w, r) {
		return
	}
	o, err := s.read(s.scope(r), r.PathValue("id"))
	if err != nil {
		wrong(w, err)
		return
	}
	answer(w, s.Judge.Judge(r.Context(), &o.Message, o.raw, ask, leaving))
}

// judging is what a request wants to be asked, and from which address the mail would come.
func (s *Server) judging(r *http.Request) (ask bool, leaving netip.Addr, err error) {
	v := r.URL.Query()
	switch v.Get("dns") {
	case "", "no":
	case "yes":
		if ask = true; !s.asksDNS() {
			return false, leaving, errors.New("dns: this sink asks none; see --dns")
		}
	default:
		return false, leaving, errors.New("dns: yes or no")
	}
	if text := v.Get("address"); text != "" {
		if leaving, err = netip.ParseAddr(text); err != nil || leaving.Zone() != "" {
			return false, leaving, errors.New("address: an IP address")
		}
	}
	return ask, leaving, nil
}

func (s *Server) asksDNS() bool { return s.Judge != nil && s.Judge.DNS != nil }

// senderCheck is what the page about a message shows of its sender.
type senderCheck struct {
	sink.Judgement
	Asks    bool   // whether the DNS can be asked
	Address string // that was written into the form
	Wrong   string
}

func (s *Server) senderCheck(r *http.Request, o *opened) *senderCheck {
	c := &senderCheck{Asks: s.asksDNS(), Address: cut(100, r.URL.Query().Get("address"))}
	ask, leaving, err := s.judging(r)
	if err != nil {
		ask, c.Wrong = false, err.Error()
	}
	c.Judgement = s.Judge.Judge(r.Context(), &o.Message, o.raw, ask, leaving)
	return c
}
