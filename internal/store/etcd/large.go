package etcd

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/stepup-gateway/caddy-stepup/store"
)

const (
	// mostInline is how many bytes the values of one transaction have in all. With the
	// keys and the names that are told it stays below largestRequest.
	mostInline = 1 << 20
	// largestPiece is how large a piece of a value is.
	largestPiece = 1 << 20
)

// place encodes the values of ops, for those that have one. Where they are too large
// for one transaction, the largest are written before, in pieces of which nobody
// knows until the transaction names them. What it does not name in the end, and what
// it replaces, is removed by sweepPieces.
func (s *Store) place(ctx context.Context, id *identity, ops []store.Op, leases []clientv3.LeaseID) ([]string, error) {
	values := make([]string, len(ops))
	bySize, sum := make([]int, 0, len(ops)), 0
	for i := range ops {
		if ops[i].Value != nil {
			bySize = append(bySize, i)
			sum += len(ops[i].Value)
		}
	}
	s.room.take(sum)
	slices.SortStableFunc(bySize, func(a, b int) int { return cmp.Compare(len(ops[b].Value), len(ops[a].Value)) })
	var w pieces
	for _, i := range bySize {
		value := ops[i].Value
		if sum <= mostInline {
			values[i] = encodeInline(value)
			continue
		}
		sum -= len(value)
		var name pieceID
		rand.Read(name[:]) // never fails
		prefix := s.at.pieceOf(ops[i].Key, name)
		for number := byte(0); int(number)*largestPiece < len(value); number++ {
			piece := value[int(number)*largestPiece:]
			piece = piece[:min(len(piece), largestPiece)]
			if w.size+len(piece) > largestPiece {
				if err := s.write(ctx, id, &w); err != nil {
					return nil, err
				}
			}
			w.size += len(piece)
			w.puts = append(w.puts, clientv3.OpPut(prefix+string(rune(number)), string(piece), clientv3.WithLease(leases[i])))
		}
		values[i] = encodePointer(name, len(value))
	}
	return values, s.write(ctx, id, &w)
}

// pieces are those that are written next, in one transaction.
type pieces struct {
	puts []clientv3.Op
	size int
}

func (s *Store) write(ctx context.Context, id *identity, w *pieces) error {
	if len(w.puts) == 0 {
		return nil
	}
	err := s.commit(ctx, id, s.guards(id), append([]clientv3.Op{s.sign(id)}, w.puts...))
	*w = pieces{}
	return err
}

// join reads a value that is in pieces, as it was at the revision.
func (s *Store) join(ctx context.Context, id *identity, key []byte, name pieceID, size int, revision int64) ([]byte, error) {
	prefix := s.at.pieceOf(key, name)
	resp, err := s.read(ctx, id, clientv3.OpGet(prefix, clientv3.WithPrefix(), clientv3.WithRev(revision)))
	if err != nil {
		return nil, err
	}
	value := make([]byte, 0, size)
	for _, row := range resp.Responses[0].GetResponseRange().Kvs {
		value = append(value, row.Value...)
	}
	if len(value) != size {
		return nil, fmt.Errorf("%w: a value of %d bytes has pieces of %d", store.ErrDamaged, size, len(value))
	}
	return value, nil
}
