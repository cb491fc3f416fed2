package relay

import (
	"bufio"
	"strings"
)

// maxHeader is how much of a message is searched for a TLS-Required field.
const maxHeader = 256 << 10

// waivesTLS reports whether the sender would have the message arrive rather than
// be protected: whether it has the field "TLS-Required: No" (RFC 8689 §3). The
// policies of the recipient's domain count for nothing then; those of the
// operator and REQUIRETLS do.
func (a *transfer) waivesTLS() bool {
	if a.policy.explicit || a.d.Entry.Params.RequireTLS {
		return false
	}
	if a.waives == nil {
		found := a.lookForWaiver()
		a.waives = &found
	}
	return *a.waives
}

func (a *transfer) lookForWaiver() bool {
	body, err := a.d.Open()
	if err != nil {
		return false
	}
	defer body.Close()
	r := bufio.NewReader(body)
	fields, value := 0, ""
	mid := false // the piece read continues a line
	for n := 0; n < maxHeader; {
		piece, more, err := r.ReadLine()
		if err != nil || len(piece) == 0 && !mid {
			break
		}
		n += len(piece) + 2
		if name, rest, ok := strings.Cut(string(piece), ":"); !mid && ok && strings.EqualFold(strings.TrimRight(name, " \t"), "TLS-Required") {
			fields++
			value = strings.TrimSpace(rest)
		}
		mid = more
	}
	return fields == 1 && strings.EqualFold(value, "No") // several mean nothing
}
