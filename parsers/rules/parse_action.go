package rules

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// What a rule does: its action, and the options behind "with".

// action reads what the rule does.
func (p *parser) action(r *rule) error {
	t := p.take()
	i := -1
	if t.kind == word && !t.quoted {
		i = slices.Index(actionNames[1:], t.text)
	}
	if i < 0 {
		if t.kind != word {
			p.at--
			return p.fail(t, "found %s where a rule should begin", t.describe())
		}
		p.failAt(t.at, unknownWord("is no action", t.text, append([]string{"include"}, actionNames[1:]...)))
		return errReported
	}
	r.action = Action(i + 1)
	switch r.action {
	case Answer:
		arg, err := p.argument("reply", `a code with its text, like "550 5.7.1 No"`)
		if err != nil {
			return err
		}
		if r.reply, err = parseReply(arg.text); err != nil {
			return p.fail(arg, "%w", err)
		}
	case Tag:
		arg, err := p.argument("tag", `a header field, like "X-Rule: yes"`)
		if err != nil {
			return err
		}
		if r.tag, err = parseField(arg.text); err != nil {
			return p.fail(arg, "%w", err)
		}
	case Delay:
		arg, err := p.argument("delay", "a time like 10s")
		if err != nil {
			return err
		}
		if r.delay, err = config.ParseDuration(arg.text); err != nil {
			return p.fail(arg, "%w", err)
		}
	case Redirect:
		arg, err := p.argument("redirect", "the address of a mailbox")
		if err != nil {
			return err
		}
		r.tag.Value, err = mailbox(arg.text)
		if err != nil {
			return p.fail(arg, "%w", err)
		}
	}
	return nil
}

func parseReply(text string) (r Reply, err error) {
	code, rest, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(code)
	if err != nil || len(code) != 3 || n < 200 || n > 599 || n/100 == 3 {
		return r, fmt.Errorf("%q does not begin with the code of a reply: 2yz accepts, 4yz refuses for now, 5yz for good", text)
	}
	r.Code = n
	if enhanced, text, _ := strings.Cut(rest, " "); isEnhanced(enhanced) {
		if enhanced[0] != code[0] {
			return r, fmt.Errorf("the code %s does not go with %s: both begin with the same digit (RFC 2034 §4)", enhanced, code)
		}
		r.Enhanced, rest = enhanced, text
	}
	r.Text = rest
	if r.Text == "" {
		return r, errors.New("a reply has a text behind its code")
	}
	return r, printable(r.Text)
}

// isEnhanced reports whether s looks like "5.7.1".
func isEnhanced(s string) bool {
	parts := strings.Split(s, ".")
	return len(parts) == 3 && len(parts[0]) == 1 && !slices.ContainsFunc(parts, func(part string) bool {
		return part == "" || len(part) > 3 || strings.Trim(part, "0123456789") != ""
	})
}

// printable refuses what no line of a reply may have.
func printable(text string) error {
	for _, r := range text {
		if r != '\n' && r != '\t' && (r < ' ' || r == 0x7f) || r == '\ufffd' {
			return fmt.Errorf("a reply cannot have the character %q", r)
		}
	}
	return nil
}

func parseField(text string) (f Field, err error) {
	name, value, ok := strings.Cut(text, ":")
	f.Name, f.Value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok || f.Name == "" || strings.ContainsFunc(f.Name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) || len(f.Name) > 70 {
		return f, fmt.Errorf("%q is no header field; write one like \"X-Rule: yes\"", text)
	}
	if f.Value == "" || len(f.Value) > 900 || strings.ContainsFunc(f.Value, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		return f, fmt.Errorf("the value of %s is one line of ASCII of up to 900 octets, and not empty", f.Name)
	}
	return f, nil
}

// mailbox is the canonical form of an address.
func mailbox(text string) (string, error) {
	a := domains.CanonicalAddress(text)
	if local, domain := a.Cut(); local == "" || domain == "" || strings.ContainsAny(text, " \t<>\n") {
		return "", fmt.Errorf("%q is not the address of a mailbox", text)
	}
	return a.String(), nil
}

// firstPhase is the first at which an action means something, and whether it happens once.
func (a Action) firstPhase() (first, last Phase, once bool) {
	switch a {
	case Quarantine, Redirect, Discard, Tag:
		return AtMessage, AtMessage, true
	case Delay:
		return AtConnect, AtMessage, true
	}
	return AtConnect, AtMessage, false
}

// options reads what stands behind "with".
func (p *parser) options(r *rule, c *clause) error {
	for n := 0; ; n++ {
		t := p.token()
		if t.kind != word {
			if n == 0 {
				return p.fail(t, "found %s where options should stand behind \"with\"", t.describe())
			}
			return nil
		}
		p.at++
		if err := p.option(r, c, t); err != nil {
			return err
		}
	}
}

var optionNames = []string{"message", "note", "savedir", "tls-opt", "make-yakker", "mailbox"}

func (p *parser) option(r *rule, c *clause, t token) error {
	if t.quoted || !slices.Contains(optionNames, t.text) {
		p.failAt(t.at, unknownWord("is no option", t.text, optionNames))
		return errReported
	}
	if t.text == "make-yakker" {
		c.with.MakeYakker = true
		return nil
	}
	arg, err := p.argument(t.text, "")
	if err != nil {
		return err
	}
	switch t.text {
	case "message":
		c.with.Message = strings.TrimRight(arg.text, "\n")
		err = printable(arg.text)
		if r.action == Answer {
			err = errors.New(`the text of "reply" stands behind its code`)
		}
	case "note":
		c.with.Note = arg.text
	case "savedir":
		c.with.SaveDir = arg.text
	case "tls-opt":
		c.with.TLS = arg.text
		if arg.text != "off" && arg.text != "no-client" {
			err = unknownWord("is none of off and no-client", arg.text, []string{"off", "no-client"})
		}
	case "mailbox":
		if r.action != Quarantine && r.action != SetWith {
			err = fmt.Errorf("%s has no mailbox; quarantine has, and \"redirect a@b\"", r.action)
			break
		}
		c.with.Mailbox, err = mailbox(arg.text)
	}
	if err != nil {
		p.failAt(arg.at, err)
		return errReported
	}
	return nil
}
