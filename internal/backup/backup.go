// Package backup keeps the state of a gateway, as it was at one moment, in one file,
// and makes a database of it again.
//
// [Write] writes a snapshot of a database that is in use; rows are in it sealed as they
// are stored, and nothing else of a row is known to the file than its key and when it
// may be tidied away. [Verify] reads a file to its end: whether it is whole, and with
// the key whether somebody who had the key made it and each row opens. [Restore] makes
// a database of a verified file in an empty store, in which nothing is good that could
// be used once.
//
// A file is read as a stream, and never kept in memory: a row at a time.
//
// It does not hide how many users there are, nor how much is stored for whom.
package backup

import (
	"errors"
	"time"
)

// The form of a file, version 1. Numbers are big-endian.
//
//	"SUBACKUP" 1                                                 version of the form
//	'h' | length[4] | JSON of Head
//	'r' | key length[2] | value length[4] | expires[8] | key | value    a row, in the order of the keys
//	't' | rows[8] | bytes[8] | SHA-256[32] | length[2] | tag     of all that stands before the SHA-256
//
// Expires is in seconds since 1970, rounded up; 0 is never. The tag is the SHA-256, sealed
// with the database's key: only who has the key can make one. In the place of 'r' or 't'
// may stand why there is no more:
//
//	'e' | length[4] | sentence
const (
	magic   = "SUBACKUP"
	version = 1

	kindHead  = 'h'
	kindRow   = 'r'
	kindError = 'e'
	kindEnd   = 't'

	maxHead  = 64 << 10
	maxError = 4 << 10
	maxTag   = 1 << 10
)

var (
	// ErrNoBackup reports that a file is something else than a backup.
	ErrNoBackup = errors.New("this is no backup of a gateway")
	// ErrNewer reports that the form of a backup is not known to this version.
	ErrNewer = errors.New("the backup was made by a newer version of the gateway: use that version")
	// ErrCut reports that a backup ends before its end.
	ErrCut = errors.New("the backup is incomplete: it was cut off")
	// ErrAltered reports that a backup is not what was written.
	ErrAltered = errors.New("the backup is damaged or was altered")
	// ErrGivenUp reports that the gateway gave up while it made the backup.
	ErrGivenUp = errors.New("the backup is incomplete: the gateway gave up while it made it")
	// ErrOtherKey reports that a backup was made with another key than the one that is
	// given.
	ErrOtherKey = errors.New("the backup was made with another key")
	// ErrNotEmpty reports that a backup was to be restored into a database that has
	// something in it.
	ErrNotEmpty = errors.New("not empty")
	// ErrInUse reports that a gateway uses the database to restore into.
	ErrInUse = errors.New("in use")
)

// Head is what a backup says of itself, as JSON:
//
//	{"gateway":"0.1.0","engine":"badger","store_id":"hex","key_id":"hex","sequence":812,"generation":0,"moment":"…"}
type Head struct {
	// Gateway is the version of the gateway that made it, and Engine the kind of store.
	Gateway string `json:"gateway"`
	Engine  string `json:"engine"`
	// StoreID and KeyID name the database and its key.
	StoreID string `json:"store_id"`
	KeyID   string `json:"key_id"`
	// Sequence grows with the changes of the database, Generation is its own.
	Sequence   uint64 `json:"sequence"`
	Generation uint64 `json:"generation"`
	// Moment is when the backup was begun: whatever was acknowledged before is in it.
	Moment time.Time `json:"moment"`
}

// Sum is what a backup holds: rows, the bytes of their keys and values, and the SHA-256
// of all of the file that stands before its own.
type Sum struct {
	Rows   int64
	Bytes  int64
	Digest [32]byte
}

// Progress is how far something is with what it is doing.
type Progress struct {
	Doing string
	Rows  int64
	Bytes int64
	Done  bool
}

// tellEvery is after how many rows somebody is told.
const tellEvery = 500
