package durable

import "math"

// Each never syncs everything at once.
func (d *Disk) Each() *Disk { d.small = math.MaxInt; return d }

// Whole always does, also for a single file.
func (d *Disk) Whole() *Disk { d.small = 0; return d }
