package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// pageRows is how many rows are read at a time, of which the store bounds the bytes.
const pageRows = 500

// Maker is who makes a backup; see [Head].
type Maker struct{ Gateway, Engine string }

// Write writes a backup of the snapshot. Where it fails, what it has written is no
// whole backup, and says why if w takes it.
func Write(ctx context.Context, w io.Writer, s *records.Snapshot, by Maker) (Sum, error) {
	x := newWriter(w)
	err := x.head(Head{
		Gateway: by.Gateway, Engine: by.Engine, StoreID: s.StoreID.String(), KeyID: s.KeyID.String(),
		Sequence: s.Sequence(), Generation: s.Generation, Moment: s.Moment,
	})
	for after := []byte(nil); err == nil; {
		var page []store.Op
		if page, err = s.Dump(ctx, after, pageRows); err != nil || len(page) == 0 {
			break
		}
		for i := range page {
			if err = x.row(&page[i]); err != nil {
				break
			}
		}
		after = page[len(page)-1].Key
	}
	if err == nil {
		err = x.end(s.Sign)
	}
	if err != nil {
		return x.sum, errors.Join(err, x.giveUp(err))
	}
	return x.sum, nil
}

// writer writes a file, and hashes it.
type writer struct {
	out  *bufio.Writer
	hash hash.Hash
	sum  Sum
	err  error // of out
}

func newWriter(w io.Writer) *writer {
	return &writer{out: bufio.NewWriterSize(w, 64<<10), hash: sha256.New()}
}

func (x *writer) write(parts ...[]byte) error {
	for _, b := range parts {
		x.hash.Write(b)
		if x.err == nil {
			_, x.err = x.out.Write(b)
		}
	}
	if x.err != nil {
		return fmt.Errorf("writing the backup: %w", x.err)
	}
	return nil
}

func (x *writer) head(h Head) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return x.write([]byte(magic), []byte{version, kindHead}, binary.BigEndian.AppendUint32(nil, uint32(len(text))), text)
}

func (x *writer) row(op *store.Op) error {
	head := make([]byte, 0, 1+2+4+8)
	head = append(head, kindRow)
	head = binary.BigEndian.AppendUint16(head, uint16(len(op.Key)))
	head = binary.BigEndian.AppendUint32(head, uint32(len(op.Value)))
	head = binary.BigEndian.AppendUint64(head, uint64(wholeSeconds(op.Expires)))
	x.sum.Rows++
	x.sum.Bytes += int64(len(op.Key) + len(op.Value))
	return x.write(head, op.Key, op.Value)
}

// wholeSeconds is a time in seconds since 1970, no earlier than it is; 0 stands for
// the zero time.
func wholeSeconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(1, t.Add(time.Second-1).Unix())
}

func (x *writer) end(sign func(digest [32]byte) []byte) error {
	head := binary.BigEndian.AppendUint64([]byte{kindEnd}, uint64(x.sum.Rows))
	if err := x.write(binary.BigEndian.AppendUint64(head, uint64(x.sum.Bytes))); err != nil {
		return err
	}
	x.sum.Digest = [32]byte(x.hash.Sum(nil))
	tag := sign(x.sum.Digest)
	if err := x.write(x.sum.Digest[:], binary.BigEndian.AppendUint16(nil, uint16(len(tag))), tag); err != nil {
		return err
	}
	if err := x.out.Flush(); err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	return nil
}

// giveUp says in the file why there is no more of it.
func (x *writer) giveUp(why error) error {
	if x.err != nil {
		return nil // nobody reads on
	}
	text := why.Error()
	text = text[:min(len(text), maxError)]
	x.out.Write(binary.BigEndian.AppendUint32([]byte{kindError}, uint32(len(text))))
	x.out.WriteString(text)
	return x.out.Flush()
}
