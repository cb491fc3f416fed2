// Package passwd hashes passwords and checks them against what is stored.
//
//	stored, err := passwd.Hash(password) // "$argon2id$v=19$m=19456,t=2,p=1$…"
//	err = passwd.Verify(stored, password) // nil, or ErrMismatch
//
// Hash writes argon2id; Verify reads what other systems wrote as well (see
// CheckForm). A Verifier does so for a server, with bounded memory, turns among
// clients, and a cache of passwords that were right.
package passwd
