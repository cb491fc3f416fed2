//go:build !linux

package durable

import (
	"errors"
	"os"
)

func device(string) (uint64, error) { return 0, errors.ErrUnsupported }

func syncfs(*os.File) error { return errors.ErrUnsupported }

func beginWriting(*os.File, int64, int64) {}
