// Package greylist remembers who has been told to come again, and who has done so. It is asked about a sender by what
// stands for him, a domain or a network, and by what makes two attempts the same message: sender and recipient.
//
// What it knows is a number of eight octets and a time for each of the two, at most a million of them, in memory and
// in one file that is only added to, so that a process that is killed loses nothing. A crash of the
// machine may lose the last minute: those who came in it wait once more.
//
// Servers that remember together tell each other of both; the file of each is its own.
//
// Files:
//
//	table.go     who is known, and what is answered
//	file.go      the file
//	together.go  what other servers have found out
package greylist
