// Package rfc2822 reads any mail message without losing an octet, and writes
// what a mail system has to write.
//
// Reading is total. Read never refuses a message for what stands in it: it
// returns the header fields in their order, their octets untouched, the body
// as a stream or a section of the source, and a list of what was wrong.
// WriteTo gives back exactly the input. Fields can be added on top and removed;
// the rest is never touched. Memory is bounded by the header section, not by
// the size of the message.
//
// How the files relate:
//
//   - scan.go finds the end of a header section, section.go holds its fields,
//     field.go is one of them (RFC 5322 §2.2, §3.6.8, and the obsolete forms of §4.5);
//   - message.go is a message, peek.go looks at the header of a stream and
//     leaves the stream as it was, gomaild.go keeps the names of an older package;
//   - received.go, trace.go and authres.go write and read the trace fields
//     (RFC 5321 §4.4, RFC 8601);
//   - report.go and its neighbours write and read multipart/report: delivery
//     status (RFC 3464, RFC 6533) and dispositions (RFC 8098);
//   - address.go, date.go and msgid.go read and write what stands in structured
//     fields (RFC 5322 §3.3, §3.4, §3.6.4);
//   - words_decode.go, words_encode.go, charset.go and encoding.go turn what is
//     encoded into UTF-8 and octets, and back (RFC 2045 §6, RFC 2047);
//   - mime.go reads media types and parameters (RFC 2045 §5, RFC 2231), walk.go,
//     part.go and boundary.go take a body apart in one pass (RFC 2046) within
//     Limits, content.go, flowed.go and filename.go pick what a reader shows;
//   - compose.go writes new messages.
//
// No function panics for input, and none keeps state between calls. A Message is
// for one goroutine at a time.
package rfc2822
