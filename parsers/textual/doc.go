// Package textual reads and writes the line protocols of mail: SMTP and LMTP
// (RFC 5321, RFC 2033), POP3 (RFC 1939) and their kin. It knows lines,
// commands, arguments, replies and dot-stuffed texts, and no command's meaning.
//
//   - [Reader] reads bounded lines and raw octets; [Writer] batches what is
//     written. Both borrow their large buffers from a pool and give them back
//     when they are empty, so that an idle session holds about half a kilobyte.
//   - [DotReader] and [DotWriter] carry texts that end with a line of a single
//     dot (RFC 5321 §4.5.2, RFC 1939 §3). Only CRLF "." CRLF ever ends one.
//   - [Command], [NextArg] and [Parser] take command lines apart.
//   - [Reader.ReadReply] and [AppendReply] are for SMTP replies (RFC 5321 §4.2).
//
// Whatever the peer sends, memory is bounded, time is linear, and after every
// error that is not one of the connection itself the next line read is the
// next line of the conversation.
package textual
