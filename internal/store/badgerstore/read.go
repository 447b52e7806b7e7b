package badgerstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key []byte) (store.Entry, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Entry{}, err
	}
	s.readers.RLock()
	defer s.readers.RUnlock()
	if err := s.usable(ctx); err != nil {
		return store.Entry{}, err
	}
	ts, stored := s.committed.Load(), rowKey(key)
	txn := s.db.NewTransactionAt(ts, false)
	defer txn.Discard()
	r, err := readRow(txn, stored)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return store.Entry{}, store.ErrNotFound
	}
	if err != nil {
		return store.Entry{}, fmt.Errorf("reading entry: %w", err)
	}
	value, err := readValue(txn, r)
	if err != nil {
		return store.Entry{}, fmt.Errorf("reading entry: %w", err)
	}
	s.versions.read(stored, r, ts)
	return store.Entry{Key: bytes.Clone(key), Value: value, Version: r.version}, nil
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, prefix, after []byte, limit int) ([]store.Entry, error) {
	var entries []store.Entry
	err := s.scan(ctx, s.committed.Load, prefix, after, limit, func(key []byte, r row, value []byte) bool {
		entries = append(entries, store.Entry{Key: key, Value: value, Version: r.version})
		return true
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}

// Dump implements [store.Movable].
func (s *Store) Dump(ctx context.Context, after []byte, limit int) ([]store.Op, error) {
	return s.dump(ctx, s.committed.Load, after, limit, store.MaxValue)
}

// dump reads entries as of a timestamp until their values come to more than a size.
func (s *Store) dump(ctx context.Context, at func() uint64, after []byte, limit, most int) ([]store.Op, error) {
	var ops []store.Op
	size := 0
	err := s.scan(ctx, at, nil, after, limit, func(key []byte, r row, value []byte) bool {
		ops = append(ops, store.Op{Key: key, Value: value, Expires: s.expires(r.expiresAt)})
		size += len(value)
		return size <= most
	})
	if err != nil {
		return nil, err
	}
	return ops, nil
}

// scan calls see with up to limit entries as of a timestamp, as List reads them, until
// it reports false. The timestamp is asked for once nothing can be discarded.
func (s *Store) scan(ctx context.Context, at func() uint64, prefix, after []byte, limit int, see func(key []byte, r row, value []byte) bool) error {
	if err := store.CheckList(prefix, after, limit); err != nil {
		return err
	}
	s.readers.RLock()
	defer s.readers.RUnlock()
	if err := s.usable(ctx); err != nil {
		return err
	}
	txn := s.db.NewTransactionAt(at(), false)
	defer txn.Discard()

	o := badger.DefaultIteratorOptions
	o.Prefix = rowKey(prefix)
	o.PrefetchValues = false // values lie beside their keys; prefetching would start a goroutine for each
	it := txn.NewIterator(o)
	defer it.Close()

	start := o.Prefix
	if len(after) > 0 && bytes.Compare(after, prefix) >= 0 {
		start = append(rowKey(after), 0) // the smallest key greater than after
	}
	for it.Seek(start); it.Valid() && limit > 0; it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		item := it.Item()
		encoded, err := item.ValueCopy(nil)
		if err != nil {
			return fmt.Errorf("reading entries: %w", err)
		}
		key := item.KeyCopy(nil)
		r, err := decodeRow(key, encoded)
		if err != nil {
			return fmt.Errorf("reading entries: %w", err)
		}
		r.expiresAt = item.ExpiresAt()
		value, err := readValue(txn, r)
		if err != nil {
			return fmt.Errorf("reading entries: %w", err)
		}
		limit--
		if !see(key[1:], r, value) {
			break
		}
	}
	return nil
}

// readRow reads the row under Badger's key; badger.ErrKeyNotFound if there is none.
func readRow(txn *badger.Txn, key []byte) (row, error) {
	item, err := getItem(txn, key)
	if err != nil {
		return row{}, err
	}
	encoded, err := item.ValueCopy(nil)
	if err != nil {
		return row{}, err
	}
	r, err := decodeRow(key, encoded)
	r.expiresAt = item.ExpiresAt()
	return r, err
}

// readValue is the value of a row, in one piece. It is never nil.
func readValue(txn *badger.Txn, r row) ([]byte, error) {
	if r.kind == kindBlob {
		return readBlob(txn, r)
	}
	return r.value, nil
}
