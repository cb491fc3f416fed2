// Package mailkeys keeps the keys of sealed mailboxes: for each one small file beside the mail, which goes wherever that goes, and in
// which nothing is in clear (cipher/sealedmail).
//
// Whether a mailbox is sealed stands in two places, the settings, which name a public key, and this file, and mail is taken only
// where both agree: a file that was lost, cut or exchanged, and a line that somebody took out, keep mail from the mailbox until they are mended, and have none
// of it written in clear.
//
// A password that is checked elsewhere is changed in three steps, each of which may be the last: the new one is wrapped beside the old one (Begin),
// then it is set where it is checked, then the old one goes (Settle). Whichever of the two opens the account opens the mail.
package mailkeys
