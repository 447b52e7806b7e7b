// Package trust reads files of certificates by which servers are verified.
package trust

import (
	"crypto/x509"
	"errors"
	"os"
)

// maxSize bounds a file of certificates, in bytes.
const maxSize = 1 << 20

// Read returns the certificates of a file in PEM. The errors do not name it.
func Read(path string) (*x509.CertPool, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !stat.Mode().IsRegular() || stat.Size() > maxSize {
		return nil, errors.New("it is no file of at most 1 MiB")
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, errors.New("there is no certificate in PEM in it")
	}
	return pool, nil
}
