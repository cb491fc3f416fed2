package lineserver

// NewID is for tests.
var NewID = newID
