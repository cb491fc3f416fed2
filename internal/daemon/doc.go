// Package daemon joins the parts into one running mail system: it turns
// settings into listeners, servers, accounts and a store, wires them, and takes
// them down in order. It is the only package that knows everyone.
//
// The files follow the life of a daemon:
//
//   - daemon.go starts and stops it, reload.go exchanges its settings;
//   - state.go is what follows from one set of settings, certificates included;
//     listeners.go opens the sockets, servers.go makes the servers behind them;
//   - post.go opens a message's way in and out (internal/post), submission.go the
//     socket for programs on this host; fetch.go is the way out to who lives here;
//   - commands.go answers the command line;
//   - quickstart.go is what happens without any configuration.
package daemon
