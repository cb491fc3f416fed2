// Package rfc2822 reads any mail message without losing an octet, and writes
// what a mail system has to write.
//
//	m, err := rfc2822.ReadFile("message.eml")
//	if err != nil {
//		return err // the file cannot be read; what stands in it is never an error
//	}
//	defer m.Close()
//	from, bad := rfc2822.ReadAddressList(m.Header.Get("From"))
//	content, err := m.Content(rfc2822.Limits{}, 0) // text, HTML, attachments
//	if err != nil {
//		return err
//	}
//	fmt.Println(m.Header.Text("Subject"), from, bad, content.Text, m.Defects)
//
// A new one is written from a [Draft]:
//
//	d := &rfc2822.Draft{From: from, To: to, Subject: "Grüße", Text: "Hello\n"}
//	_, err := d.WriteTo(w)
//
// Reading is total. [Read] never refuses a message for what stands in it: it
// returns the header fields in their order, their octets untouched, the body
// as a stream or a section of the source, and a list of what was wrong.
// [Message.WriteTo] gives back exactly the input. Fields can be added on top and
// removed; the rest is never touched. Memory is bounded by the header section, not by the
// size of the message; what [Message.Walk] may cost is bounded by [Limits].
//
// What stands in structured fields is read by ParseAddressList and
// ReadAddressList (RFC 5322 §3.4), ParseDate (§3.3), ParseMessageIDs (§3.6.4),
// ParseMediaType (RFC 2045 §5.1, RFC 2231), DecodeWords (RFC 2047) and
// ParseReceived (RFC 5321 §4.4) and ParseAuthResults (RFC 8601). Parse is strict where there is a Read beside it; else
// both take what real programs write. [Report] and [Disposition] write and read
// multipart/report (RFC 3464, RFC 6533, RFC 8098); [Received], [ReturnPath] and
// [AuthResults] (RFC 8601) write the trace fields of a mail server, which no text of a
// stranger's can break out of.
//
// Lengths and offsets are in octets. Errors are compared with errors.Is; a [Defect] or an
// [AddressError] is found by errors.As. No function panics for input, and none keeps state
// between calls. A Message, a Draft and a Report are each for one goroutine at a time;
// a Field and an Address are values that any number may use.
package rfc2822
