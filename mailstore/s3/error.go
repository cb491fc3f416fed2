package s3

import (
	"context"
	"errors"
	"io/fs"
	"net/http"

	"github.com/minio/minio-go/v7"
)

// Culprit is which setting something is due to.
type Culprit string

// The settings that can be wrong.
const (
	Endpoint   Culprit = "endpoint" // nobody answers there, or not as storage does
	BucketName Culprit = "bucket"
	Keys       Culprit = "access_key, secret_key" // one is unknown, or the other does not fit
	Rights     Culprit = "rights of the access key"
	Region     Culprit = "region"
)

// Error is something that does not get better by itself, mostly, and which of the options to look at.
type Error struct {
	Of  Culprit
	Err error
}

func (e *Error) Error() string { return "s3: " + string(e.Of) + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// culprits are what the codes of storage point to.
var culprits = map[string]Culprit{
	"NoSuchBucket": BucketName, "InvalidBucketName": BucketName,
	"InvalidAccessKeyId": Keys, "XAdminUserNotFound": Keys, "SignatureDoesNotMatch": Keys, "InvalidSecurity": Keys, "InvalidToken": Keys,
	"AccessDenied": Rights, "AllAccessDisabled": Rights, "AccountProblem": Rights,
	"AuthorizationHeaderMalformed": Region, "PermanentRedirect": Region, "InvalidRegion": Region,
	"RequestTimeTooSkewed": "the clock of this machine",
}

// failed puts an error into the terms of this package.
func (b *Bucket) failed(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	var said minio.ErrorResponse
	if !errors.As(err, &said) {
		return &Error{Endpoint, err}
	}
	err = errors.New(said.Code + ": " + said.Message)
	if culprit, known := culprits[said.Code]; known {
		return &Error{culprit, err}
	}
	switch {
	case said.Code == "NoSuchKey":
		return fs.ErrNotExist
	case said.StatusCode == http.StatusForbidden:
		return &Error{Rights, err}
	case said.StatusCode == 0:
		return &Error{Endpoint, err}
	}
	return err
}
