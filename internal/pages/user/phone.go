package user

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"rsc.io/qr"

	"github.com/postrider-mail/postrider/internal/pages"
)

// phonePage is where a device is set up by a code that its camera reads.
type phonePage struct {
	*Phone
	Link string
	Code code
	// Here: the page was asked for by a name of this host, which means another host to the device.
	Here bool
}

// phone shows the code, while there is one.
func (s Server) phone(r *pages.Request) (any, error) {
	page := phonePage{Phone: s.Own.Phone(r.Who), Here: pages.IsLoopback(r.Visitor.Host)}
	if page.Phone == nil {
		return page, nil
	}
	scheme := "http"
	if r.Visitor.Secure {
		scheme = "https"
	}
	page.Link = scheme + "://" + r.Host + r.Path("setup/"+page.Token)
	var err error
	page.Code, err = codeOf(page.Link)
	return page, err
}

func (s Server) askPhone(r *pages.Request) error {
	name := r.Form.Value("name")
	if name == "" {
		r.Form.Wrong("name", "say which device it is for")
		return nil
	}
	if err := s.Own.AskPhone(r.Context(), r.Who, r.Visitor.Client, r.Form.Secret("password"), name, r.Form.Value("until")); err != nil {
		return refuse(r, err, "password")
	}
	r.Done("Have the camera of "+name+" look at the code.", "app", name)
	return nil
}

// setUp sends the profile to whoever has the link. Only a GET takes it: programs that look at links before people do ask by HEAD, if they
// are well-behaved.
func (s Server) setUp(w http.ResponseWriter, r *pages.Request) error {
	if !s.Own.May(MayAppPasswords) {
		http.Error(w, pages.ErrForbidden.Error(), http.StatusForbidden)
		return nil
	}
	if r.Method != http.MethodGet {
		return nil
	}
	file, err := s.Own.SetUp(r.Context(), r.Visitor.Client, r.PathValue("token"))
	var refused *Refused
	switch {
	case errors.Is(err, ErrGone):
		http.Error(w, err.Error(), http.StatusGone)
		return nil
	case errors.As(err, &refused):
		http.Error(w, err.Error(), http.StatusConflict)
		return nil
	case err != nil:
		return err
	}
	w.Header().Set("Content-Type", file.Type)
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", file.Name))
	_, err = w.Write([]byte(file.Text))
	return err
}

// code is a QR code (ISO/IEC 18004) as the path of an SVG, whose units are its modules, with the quiet zone that readers need round it.
type code struct{ Box, Path string }

// quiet is the width of that zone (§9.1).
const quiet = 4

func codeOf(text string) (code, error) {
	c, err := qr.Encode(text, qr.M)
	if err != nil {
		return code{}, err
	}
	var path strings.Builder
	for y := range c.Size {
		for x := 0; x < c.Size; x++ {
			run := 0
			for x+run < c.Size && c.Black(x+run, y) {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", x, y, run, run)
				x += run
			}
		}
	}
	return code{fmt.Sprintf("%d %d %[3]d %[3]d", -quiet, -quiet, c.Size+2*quiet), path.String()}, nil
}
