// Package scan asks scanners about mail of strangers while it is being stored: rspamd, over
// HTTP (Scanner), and milters (Milters). The message is given on as it comes, and never kept for it. What a scanner says becomes a
// refusal, a mark or nothing; where it says nothing, because it is down, slow, or answers what nobody understands, the
// settings decide: the message is taken and the log says so, or its client comes again later. No message is
// lost by a scanner, and none waits for it longer than its Wait behind its last octet.
package scan
