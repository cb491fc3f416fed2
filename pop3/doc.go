// Package pop3 speaks POP3 (RFC 1939), as a server for mail stores of any kind and
// as a client.
//
//	func main() {
//		srv := &pop3.Server{
//			Addr:        ":1100",
//			Backend:     pop3.BackendFunc(open),   // func(ctx, session, account) (Drop, error)
//			Credentials: sasl.PasswordFunc(check), // func(user, password, remoteAddr string) error
//		}
//		log.Fatal(srv.ListenAndServeTLS("cert.pem", "key.pem"))
//	}
//
// and, on the other side,
//
//	d := pop3.Dialer{User: "me", Password: "secret"}
//	c, err := d.Dial(ctx, "pop.example.com:110")
//	text, err := c.Retr(ctx, 1) // an io.Reader; io.EOF means that it is complete
//	err = c.Quit(ctx)
//
// The [Server] does all of RFC 1939 with the extensions of RFC 2449 (CAPA,
// response codes, pipelining), RFC 2595 (STLS), RFC 3206 (AUTH-RESP-CODE),
// RFC 5034 (SASL) and RFC 6856 (UTF8). It knows no storage: a [Backend]
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
//
// A [Client] is made by a [Dialer]. It trusts a server with nothing: a Text that
// was not read to its end never looks complete, no answer is taken for another
// command's, memory and waits are bounded, and a UID becomes the name of a file by
// [SafeName] only.
package pop3
