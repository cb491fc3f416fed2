// Package conf is the daemon's settings: one struct whose comments are the
// manual, the folder of .conf files it is read from, and the check that says
// everything that is wrong with them before anything is opened.
//
// Load reads and merges; Verify reads and checks; Reference prints the manual
// as a .conf file that says what holds anyway; Show prints the settings in
// force and where each came from. The format is that of parsers/config.
package conf
