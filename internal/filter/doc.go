// Package filter evaluates the rules of the settings (parsers/rules) where mail comes in: it knows when to ask them, finds out
// what they ask for, and makes of a decision an answer to the client, a field on top of the message, another
// mailbox for it, or nothing.
//
// Strangers and users are judged alike; "user" and "trusted" tell them apart. What SPF, DKIM and DMARC
// say is not looked for again: internal/verify hands it over in memory. A refusal names its rule in the log (rule=file:line).
package filter
