package smtp

// Tracer sees the lines of a dialogue: dir is 'r' for a line read, 'w' for one
// written, '#' for a remark. Credentials are replaced by "***" before it sees
// them; messages are only counted.
type Tracer func(s *Session, dir byte, line string)
