// Package s3 keeps the pieces of large messages in a bucket of S3-compatible storage, for mailstore/postgres.
//
//	bucket, err := s3.New(s3.Options{Endpoint: "https://s3.example.net", Bucket: "mail", AccessKey: "…", SecretKey: "…"})
//	if err != nil {
//		return err
//	}
//	store, err := postgres.Open(ctx, dsn, postgres.WithObjects(bucket, 256<<10, 48*time.Hour))
//
// Every object is written in one request of known length, with its MD5 for the storage to compare, so that nothing is buffered here
// and no upload of many parts stays behind half done.
package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Options are where a bucket is and who may use it.
type Options struct {
	Endpoint  string // URL without a path: "https://s3.example.net:9000"; by http the mail is sent in clear
	Region    string // "us-east-1" where empty
	Bucket    string
	Prefix    string // of all keys; "mail/", say
	AccessKey string
	SecretKey string
	Roots     *x509.CertPool // who may have signed the certificate of the endpoint; those of the system where nil
}

// Bucket is a bucket. It is safe for concurrent use.
type Bucket struct {
	o      Options
	client *minio.Core
}

// attempts of one request, while its context lasts: storage answers "slow down" in the ordinary course of things.
const attempts = 3

// New is a bucket that nobody is asked about yet.
func New(o Options) (*Bucket, error) {
	u, err := url.Parse(o.Endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, &Error{Endpoint, fmt.Errorf("%q is not a URL like https://s3.example.net", o.Endpoint)}
	case u.Path != "" && u.Path != "/" || u.User != nil || u.RawQuery != "":
		return nil, &Error{Endpoint, errors.New("it is a scheme and a host, without anything else")}
	case o.Bucket == "":
		return nil, &Error{BucketName, errors.New("it has no name")}
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	client, err := minio.NewCore(u.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(o.AccessKey, o.SecretKey, ""),
		Secure: u.Scheme == "https", Region: o.Region, Transport: transport(o.Roots), MaxRetries: attempts,
	})
	if err != nil {
		return nil, &Error{Endpoint, err}
	}
	return &Bucket{o, client}, nil
}

// transport waits for nothing without an end, and follows no proxy of the environment to somewhere else.
func transport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   16,
		DisableCompression:    true, // octets are as they were stored
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
}

// Put stores an object, and returns once the storage has confirmed it, with the object's ETag: a 200 alone is what any web server
// says that has come in its place. Nothing is under the key before.
func (b *Bucket) Put(ctx context.Context, key string, data []byte) error {
	info, err := b.client.Client.PutObject(ctx, b.o.Bucket, b.o.Prefix+key, bytes.NewReader(data), int64(len(data)),
		minio.PutObjectOptions{SendContentMd5: true, DisableMultipart: true, ContentType: "application/octet-stream"})
	if err = b.failed(err); errors.Is(err, fs.ErrNotExist) || err == nil && info.ETag == "" { // whoever answers so to what is written
		return &Error{Endpoint, errors.New("what answers there is no S3-compatible storage")}
	}
	return err
}

// Get reads an object of at most so many octets; it is an error if it has more, or breaks off. fs.ErrNotExist: there is none.
func (b *Bucket) Get(ctx context.Context, key string, most int) ([]byte, error) {
	r, info, _, err := b.client.GetObject(ctx, b.o.Bucket, b.o.Prefix+key, minio.GetObjectOptions{})
	if err != nil {
		return nil, b.failed(err)
	}
	defer r.Close()
	size := max(info.Size, 0) // a proxy may pass it on without a length (RFC 9112 §6.3)
	data := bytes.NewBuffer(make([]byte, 0, min(size, int64(most))+bytes.MinRead))
	if _, err := data.ReadFrom(io.LimitReader(r, int64(most)+1)); err != nil {
		return nil, b.failed(err)
	}
	if data.Len() > most {
		return nil, fmt.Errorf("s3: object %s has more than %d octets", key, most)
	}
	return data.Bytes(), nil
}

// Delete removes an object. It is no error if there is none.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	err := b.failed(b.client.RemoveObject(ctx, b.o.Bucket, b.o.Prefix+key, minio.RemoveObjectOptions{}))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// List are the keys that begin so, in no order that is promised. It ends with the first error.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		ctx, cancel := context.WithCancel(ctx) // ends what fetches ahead
		defer cancel()
		for is := range b.client.ListObjectsIter(ctx, b.o.Bucket, minio.ListObjectsOptions{Prefix: b.o.Prefix + prefix, Recursive: true}) {
			if is.Err != nil {
				yield("", b.failed(is.Err))
				return
			}
			if !yield(strings.TrimPrefix(is.Key, b.o.Prefix), nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil { // it just ends then
			yield("", err)
		}
	}
}

// Try does once what the store will do, with an object that is gone afterwards, and says what is wrong.
func (b *Bucket) Try(ctx context.Context) error {
	key, text := "check-"+rand.Text(), []byte("written by a check of the settings\n")
	if err := b.Put(ctx, key, text); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	got, err := b.Get(ctx, key, len(text))
	if err == nil && !bytes.Equal(got, text) {
		err = errors.New("what comes back is something else")
	}
	if err != nil {
		return errors.Join(fmt.Errorf("read: %w", err), b.Delete(ctx, key))
	}
	listed := false
	for is, err := range b.List(ctx, key) {
		if err != nil {
			return errors.Join(fmt.Errorf("list: %w", err), b.Delete(ctx, key))
		}
		listed = listed || is == key
	}
	if err := b.Delete(ctx, key); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if !listed {
		return errors.New("list: an object that was just written is not in it")
	}
	return nil
}
