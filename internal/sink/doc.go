// Package sink is a mail server for tests: it takes mail for any address,
// delivers nothing, and keeps what came where a test or a person can look at it.
//
// A Box holds the messages: in memory, the oldest leaving first once a limit of
// number, octets or age is reached, or in a folder. Inboxes are views of it, one for
// each address mail was sent to (or each login, or each value of a header field),
// and those that a test made for itself. SMTP brings messages in, through the
// engine that the real server has; POP3 and the HTTP API (package web) give them out.
//
// The octets of a message are kept as they were sent. What other test servers add to
// them (Return-Path, Received, a Bcc of who was only in the envelope) is added for
// those who ask for it in their words, see Message.Traced.
package sink
