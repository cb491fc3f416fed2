// Package change edits a configuration: for commands and for the pages of administrators alike.
//
//	files := change.Files{Path: "/etc/postrider", Probes: conf.Probes{Sealed: accounts.CheckSealed}}
//	changed, err := files.Apply(ctx, change.Single(func(s *conf.Settings) (*conf.Edit, error) {
//		return s.AddDomain("/etc/postrider", "example.org")
//	}))
//
// A change is made in this order, and nothing is written before the last step:
//
//  1. The folder is locked, so that of two changes the second sees what the first has done.
//  2. The settings are read, and the editor makes edits of the texts they were read from. Comments and layout stay.
//  3. What the configuration will be is checked. A problem that it does not have already refuses the change (Refused).
//  4. The new texts are written beside the files, with the owner and the mode of these, and made durable.
//  5. Each takes its file's place at once. If what stood there is not what was read, it is put back, and what was
//     replaced before it as well (ErrChanged): what somebody writes by hand meanwhile stays.
//
// A crash leaves each file as it was or as it is to be. An edit of several files is written down before the first is replaced, and taken
// back as a whole by the next change, or by the next server (Recover). Telling a running server is for the caller, who knows it.
package change
