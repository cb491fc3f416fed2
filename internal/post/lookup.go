package post

import (
	"context"
	"fmt"
	"strings"

	"github.com/postrider-mail/postrider/smtp"
)

// mostExpanded is how many addresses an answer to EXPN names.
const mostExpanded = 100

// Vrfy answers VRFY and EXPN to clients that are trusted, where the settings have it
// so. Everybody else hears nothing of who is here (RFC 5321 §7.3).
func (r *Receiver) Vrfy(_ context.Context, s *smtp.Session, arg string, expand bool) *smtp.Reply {
	rules := r.Rules()
	if !rules.Lookups || !r.trusts(s) {
		return nil
	}
	path, err := localPath(rules.Directory, arg)
	if err != nil {
		return &smtp.Reply{Code: 501, Enhanced: "5.1.3", Text: "That is no address"}
	}
	found := rules.Directory.Resolve(path)
	switch {
	case !found.Local:
		return &smtp.Reply{Code: 252, Enhanced: "2.5.1", Text: "Not an address of this server"}
	case found.Away != nil:
		return smtp.ErrTryLater.With(found.Away)
	case found.None():
		return &smtp.Reply{Code: 550, Enhanced: "5.1.1", Text: "No such user here"}
	case !expand:
		return &smtp.Reply{Code: 250, Enhanced: "2.1.5", Text: "<" + rules.Directory.Address(path).String() + ">"}
	}
	var lines []string
	for _, m := range found.Mailboxes {
		lines = append(lines, "<"+m.String()+">")
	}
	for _, p := range found.Elsewhere {
		lines = append(lines, "<"+p.String()+">")
	}
	if n := len(lines) - mostExpanded; n > 0 {
		lines = append(lines[:mostExpanded], fmt.Sprintf("and %d more", n))
	}
	return &smtp.Reply{Code: 250, Enhanced: "2.1.5", Text: strings.Join(lines, "\n")}
}
