// Package logs is where the daemon's log lines go, and what keeps them fit to
// read: words of strangers are escaped and cut short, and lines about strangers
// are so many and no more.
package logs
