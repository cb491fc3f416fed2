// Package milter is the mail server's side of the milter protocol: it tells a program of somebody else, such as
// clamav-milter or opendkim, of a message while it comes, and hears what that one wants done. It speaks
// versions 2 to 6, as sendmail's libmilter does at the other end.
//
// Nothing that the other side does costs more than its time (Client.Wait) and a few kilobytes: what it sends is read in
// pieces of a bounded size, replaced bodies are passed over, and what is no answer is an error. A Client
// knows no mail server and no settings; what is done with a milter's wishes is for others to say.
package milter
