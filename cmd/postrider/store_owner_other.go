//go:build !linux

package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func runAs(_ *cobra.Command, uid, _ int) error {
	return fmt.Errorf("the mail store belongs to %s: run this as that user", userName(uid))
}

func readsAll() bool { return os.Geteuid() == 0 }
