package rfc2822

import "strings"

// status is the content of the message/disposition-notification part (RFC 8098 §3.1).
func (d *Disposition) status() string {
	w := statusWriter{utf8: d.UTF8}
	w.field("Reporting-UA", d.ReportingUA)
	w.original(d.OriginalRecipient)
	w.address("Final-Recipient", d.FinalRecipient)
	w.field("Original-Message-ID", d.OriginalMessageID)
	mode := "manual-action/MDN-sent-manually"
	if d.Automatic {
		mode = "automatic-action/MDN-sent-automatically"
	}
	value := mode + "; " + d.kind()
	for i, m := range d.Modifiers {
		sep := ","
		if i == 0 {
			sep = "/"
		}
		value += sep + token(m)
	}
	w.field("Disposition", value)
	for _, e := range d.Errors {
		w.field("Error", e)
	}
	return w.String()
}

func (d *Disposition) kind() string {
	switch k := strings.ToLower(d.Type); k {
	case "displayed", "deleted", "dispatched", "processed":
		return k
	}
	return "processed"
}

func (d *Disposition) subject() string {
	if d.Subject != "" {
		return d.Subject
	}
	return "Disposition notification (" + d.kind() + ")"
}

func (d *Disposition) text() string {
	if d.Text != "" {
		return d.Text
	}
	text := "Your message to <" + quoted(d.FinalRecipient) + "> was " + d.kind() + ".\n"
	if d.Automatic {
		return text + "This notification was sent without a person seeing it.\n"
	}
	return text + "That is no guarantee that it was read or understood.\n"
}
