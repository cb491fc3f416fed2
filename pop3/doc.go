// Package pop3 speaks POP3 (RFC 1939): a [Server] for mail stores of any kind,
// and a [Client].
//
// The server does all of RFC 1939 with the extensions of RFC 2449 (CAPA,
// response codes, pipelining), RFC 2595 (STLS), RFC 3206 (AUTH-RESP-CODE),
// RFC 5034 (SASL) and RFC 6856 (UTF8, LANG). It knows no storage: a [Backend]
// gives each login a [Drop], a locked mailbox with a frozen list of messages.
// Accounts are asked for through package cipher/sasl.
//
// What it keeps, whatever the client does:
//
//   - The octets of a message arrive as the Drop gave them. A message that
//     cannot be read to its end is never followed by the line that says it was
//     complete: the connection is cut.
//   - QUIT says +OK only when exactly the messages marked have been removed. A
//     session that ends in any other way removes nothing.
//   - Memory, time and guesses are bounded ([Limits]).
package pop3
