// Package accounts knows who has which address and which password, and how
// guessing at passwords is slowed.
//
//   - directory.go follows an address to its mailboxes and says who may send as
//     whom;
//   - credentials.go answers logins, for names without an account at the same
//     cost (models.go);
//   - throttle.go counts failed logins, repeats.go knows those that say nothing
//     new, lockouts.go tells the operator who is locked out;
//   - secrets.go opens what is sealed with the server's key, keys.go what an
//     account keeps for challenges.
//
// Directory and Credentials follow from one set of settings; a reload makes new
// ones of the old.
package accounts
