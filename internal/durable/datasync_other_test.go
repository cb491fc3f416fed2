//go:build !linux

package durable_test

import "os"

func fdatasync(f *os.File) error { return f.Sync() }
