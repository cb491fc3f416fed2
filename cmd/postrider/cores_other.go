//go:build !unix

package main

// withoutCores has nothing to do where there are no core dumps.
func withoutCores() {}
