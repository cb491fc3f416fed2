// Package daemon joins the parts into one running mail system: it turns
// settings into listeners, servers, accounts and a store, carries messages
// between them, and takes them down in order. It is the only package that
// knows everyone.
//
// The files follow the life of a daemon:
//
//   - daemon.go starts and stops it, reload.go exchanges its settings;
//   - listeners.go opens the sockets, servers.go makes the SMTP and POP3
//     servers behind them, certificates.go their TLS;
//   - directory.go knows who lives here, credentials.go whether they are who
//     they say, throttle.go how often they may be wrong;
//   - receive.go is a message's way in, fetch.go its way out;
//   - quickstart.go is what happens without any configuration.
package daemon
