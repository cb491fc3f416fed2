package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/gif" // the formats that thumbnails are made of
	"image/jpeg"
	_ "image/png"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/image/draw"
	"golang.org/x/net/html"
)

// A thumbnail's size, and the largest image that one is made of, in points: what is
// larger is shown as a blank one.
const (
	thumbWidth, thumbHeight = 180, 120
	mostPoints              = 16 << 20
)

// thumbs takes apart one image at a time: each may need 16 octets a point.
func (s *Server) thumbs() http.HandlerFunc {
	var one sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) { s.thumb(w, r, &one) }
}

func (s *Server) thumb(w http.ResponseWriter, r *http.Request, one *sync.Mutex) {
	o, found := s.open(w, r)
	if !found {
		return
	}
	_, _, data, err := o.part(r.PathValue("part"))
	if err != nil {
		bad(w, errors.New("there is no such part"))
		return
	}
	one.Lock()
	small := thumbnail(data)
	one.Unlock()
	w.Header().Set("Content-Type", "image/jpeg")
	jpeg.Encode(w, small, &jpeg.Options{Quality: 70})
}

// thumbnail is a small picture of an image, on white.
func thumbnail(data []byte) image.Image {
	small := image.NewRGBA(image.Rect(0, 0, thumbWidth, thumbHeight))
	draw.Draw(small, small.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	// The size is known before anything of that size is made.
	size, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil || size.Width < 1 || size.Height < 1 || size.Width > mostPoints/size.Height {
		return small
	}
	whole, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return small
	}
	width, height := thumbWidth, size.Height*thumbWidth/size.Width
	if height > thumbHeight {
		width, height = size.Width*thumbHeight/size.Height, thumbHeight
	}
	at := image.Pt((thumbWidth-max(1, width))/2, (thumbHeight-max(1, height))/2)
	draw.ApproxBiLinear.Scale(small, image.Rectangle{at, at.Add(image.Pt(max(1, width), max(1, height)))}, whole, whole.Bounds(), draw.Over, nil)
	return small
}

// linksTried are links and how many of them failed.
type linksTried struct {
	Errors int
	Links  []link
}

type link struct {
	URL        string
	StatusCode int
	Status     string
}

// mostLinks is how many of a message are tried, and linkWait how long each may take.
const (
	mostLinks = 100
	linkWait  = 10 * time.Second
)

// led answers a browser that a foreign page has led here, if only by a picture, for which it sends no Origin: it must
// not have this host ask others about the newest message.
func led(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("Sec-Fetch-Site") != "cross-site" || r.Header.Get("Origin") != "" {
		return false
	}
	http.Error(w, "403 CORS: not asked by a page of this server", http.StatusForbidden)
	return true
}

func (s *Server) linkCheck(w http.ResponseWriter, r *http.Request) {
	if led(w, r) {
		return
	}
	o, found := s.open(w, r)
	if !found {
		return
	}
	c := o.content()
	list := linksOf(c.HTML, c.Text)
	if len(list) > mostLinks {
		list = list[:mostLinks]
	}
	follow := r.URL.Query().Get("follow")
	links := s.tryAll(r.Context(), list, follow == "true" || follow == "1")
	failed := 0
	for _, l := range links {
		if l.StatusCode >= 400 || l.StatusCode == 0 {
			failed++
		}
	}
	answer(w, linksTried{failed, links})
}

func (s *Server) tryAll(ctx context.Context, list []string, follow bool) []link {
	client := s.prober(follow)
	links := make([]link, len(list))
	var wait sync.WaitGroup
	slots := make(chan struct{}, 5)
	for i, address := range list {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			links[i] = try(ctx, client, address)
		})
	}
	wait.Wait()
	return links
}

func try(ctx context.Context, client *http.Client, address string) link {
	l := link{URL: address}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil)
	if err != nil {
		l.Status = "not a link"
		return l
	}
	resp, err := client.Do(req)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err
		}
		l.Status = err.Error()
		return l
	}
	resp.Body.Close()
	l.StatusCode, l.Status = resp.StatusCode, http.StatusText(resp.StatusCode)
	return l
}

// errInner refuses to connect to what only this host and its network have.
var errInner = errors.New("an inner address: not tried (see --allow-internal-http-requests)")

// prober is a client that connects to the world only: a link in a message must not
// make this host ask its neighbours. The address is looked at when it is dialled, after
// every look-up and redirect.
func (s *Server) prober(follow bool) *http.Client {
	d := &net.Dialer{Timeout: linkWait, Control: func(_, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil || !s.InnerLinks && !outer(a.Addr()) {
			return errInner
		}
		return nil
	}}
	c := &http.Client{Timeout: linkWait, Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}}
	if !follow {
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return c
}

// inner are the networks that netip has no word for: this one, shared, benchmarks, documentation,
// reserved, and IPv4 within IPv6.
var inner = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("::/96"),
}

func outer(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && !slices.ContainsFunc(inner, func(p netip.Prefix) bool { return p.Contains(a) })
}

// linkPattern finds links in plain text.
var linkPattern = regexp.MustCompile(`https?://[^\s<>"'()\[\]{}\\^` + "`" + `]+`)

// linksOf are the first links, style sheets and images of a message, each once.
func linksOf(source, text string) (list []string) {
	seen := make(map[string]bool)
	add := func(address string) {
		address = strings.TrimSpace(address)
		if u, err := url.Parse(address); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && !seen[address] {
			seen[address] = true
			list = append(list, address)
		}
	}
	for z := html.NewTokenizer(strings.NewReader(source)); source != "" && len(list) < mostFound; {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		t := z.Token()
		for _, a := range t.Attr {
			if a.Key == "href" && (t.Data == "a" || t.Data == "area" || t.Data == "link") || a.Key == "src" && t.Data == "img" {
				add(a.Val)
			}
		}
	}
	for len(list) < mostFound {
		at := linkPattern.FindStringIndex(text)
		if at == nil {
			break
		}
		add(strings.TrimRight(text[at[0]:at[1]], ".,;:!?"))
		text = text[at[1]:]
	}
	return list[:min(len(list), mostFound)]
}

// releasing is who a message is to be sent to.
type releasing struct{ To []string }

func (s *Server) release(w http.ResponseWriter, r *http.Request) {
	o, found := s.open(w, r)
	if !found {
		return
	}
	var in releasing
	err := read(w, r, &in, mostBody)
	switch {
	case s.Relay == nil:
		err = errors.New("no server to release messages to is set; see --relay-to")
	case err == nil && len(in.To) == 0:
		err = errors.New("no address is given in To")
	case err == nil:
		err = s.Relay.Release(r.Context(), o.Envelope.From, in.To, o.raw)
	}
	if err != nil {
		bad(w, err)
		return
	}
	ok(w)
}

// What the server says of itself.
type (
	infoShown struct {
		Version, LatestVersion, Database string
		DatabaseSize                     int64
		Messages, Unread                 int
		Tags                             map[string]int
		RuntimeStats                     runtimeStats
		Dropped                          map[string]uint64 // by the limit that dropped them
		WebhooksLost                     uint64
	}
	runtimeStats struct {
		Uptime           int64
		Memory           uint64
		MessagesDeleted  uint64
		SMTPAccepted     uint64
		SMTPAcceptedSize uint64
		SMTPRejected     uint64
		SMTPIgnored      uint64
	}
	webuiShown struct {
		Label                                                                      string
		MessageRelay                                                               relayShown
		SpamAssassin, Rspamd, ChaosEnabled, DuplicatesIgnored, HideDeleteAllButton bool
	}
	relayShown struct {
		Enabled                                                                                        bool
		SMTPServer, ReturnPath, AllowedRecipients, BlockedRecipients, OverrideFrom, RecipientAllowlist string
		PreserveMessageIDs                                                                             bool
	}
)

func (s *Server) info(w http.ResponseWriter, r *http.Request) {
	c, kept, begun := s.Box.Counts()
	total, unread := s.Box.Totals(inbox(r))
	answer(w, infoShown{
		Version: s.Version, LatestVersion: s.Version, Database: s.Box.Where(), DatabaseSize: kept, Messages: total, Unread: unread, Tags: s.Box.Tags(inbox(r)),
		RuntimeStats: runtimeStats{int64(time.Since(begun).Seconds()), memoryInUse(), c.Deleted, c.Accepted, c.AcceptedOctets, c.Rejected, c.Ignored},
		Dropped:      map[string]uint64{"messages": c.ByNumber, "octets": c.ByOctets, "age": c.ByAge},
		WebhooksLost: s.Webhook.Lost(),
	})
}

func (s *Server) webui(w http.ResponseWriter, _ *http.Request) {
	v := webuiShown{Label: s.Label, ChaosEnabled: s.Chaos != nil, HideDeleteAllButton: s.KeepAll}
	if to := s.Relay; to != nil {
		v.MessageRelay = relayShown{Enabled: true, SMTPServer: to.Address, ReturnPath: to.ReturnPath, AllowedRecipients: to.Pattern(), RecipientAllowlist: to.Pattern(), PreserveMessageIDs: true}
	}
	answer(w, v)
}

// htmlCheck says what of the HTML some programs do not show.
func (s *Server) htmlCheck(w http.ResponseWriter, r *http.Request) {
	o, found := s.open(w, r)
	if !found {
		return
	}
	source := o.content().HTML
	if source == "" {
		bad(w, fmt.Errorf("the message has no HTML"))
		return
	}
	answer(w, checkHTML(source))
}
