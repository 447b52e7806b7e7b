package procstore

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// protocol is raised with every change of what the frames hold. Both processes
// run the same file, so it only tells a mistake.
const protocol = 3

// hello tells the child what to open.
type hello struct {
	Protocol int    `json:"protocol"`
	Build    string `json:"build"`
	Dir      string `json:"dir"`
	Mark     string `json:"mark,omitempty"`
	// AtLeast is the last sequence that was acknowledged by a child before
	// this one; zero if there was none.
	AtLeast uint64 `json:"at_least,omitempty"`
	// Level is the lowest level of log lines that are wanted.
	Level int8 `json:"level"`
}

// opened is the child's answer once the database is open.
type opened struct {
	Protocol int    `json:"protocol"`
	Build    string `json:"build"`
	status
}

// status is what changes rarely and is told without being asked.
type status struct {
	Committed   uint64          `json:"committed"`
	Low         string          `json:"low,omitempty"` // see store.Health
	Unmarked    bool            `json:"unmarked,omitempty"`
	Fence       store.FenceKind `json:"fence,omitempty"`
	FenceReason string          `json:"fence_reason,omitempty"`
	FenceNewest time.Time       `json:"fence_newest,omitzero"`
}

func (s status) fence() store.Fence {
	return store.Fence{Kind: s.Fence, Reason: s.FenceReason, Newest: s.FenceNewest}
}

func jsonFrame(k kind, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // of plain structs
	}
	frame, err := finish(append(newFrame(k, 0, len(text)), text...))
	if err != nil {
		panic(err) // they are small
	}
	return frame
}

func getFrame(id uint64, key []byte) ([]byte, error) {
	return finish(append(newFrame(kindGet, id, len(key)), key...))
}

func listFrame(id uint64, prefix, after []byte, limit int) ([]byte, error) {
	b := newFrame(kindList, id, len(prefix)+len(after)+12)
	b = appendShort(b, prefix)
	b = appendShort(b, after)
	return finish(binary.BigEndian.AppendUint64(b, uint64(limit)))
}

func parseList(payload []byte) (prefix, after []byte, limit int, err error) {
	p := parser{rest: payload}
	prefix, after, limit = p.short(), p.short(), int(p.uint64())
	return prefix, after, limit, p.end()
}

// dumpFrame asks for entries of the snapshot of that name, which is empty for the
// database as it is.
func dumpFrame(id uint64, snapshot string, after []byte, limit int) ([]byte, error) {
	b := appendShort(newFrame(kindDump, id, len(snapshot)+len(after)+12), []byte(snapshot))
	b = appendShort(b, after)
	return finish(binary.BigEndian.AppendUint64(b, uint64(limit)))
}

func parseDump(payload []byte) (snapshot string, after []byte, limit int, err error) {
	p := parser{rest: payload}
	snapshot, after, limit = string(p.short()), p.short(), int(p.uint64())
	return snapshot, after, limit, p.end()
}

func namedFrame(k kind, id uint64, name string) ([]byte, error) {
	return finish(append(newFrame(k, id, len(name)), name...))
}

// What an op has besides its key.
const (
	opValue uint8 = 1 << iota
	opIf
	opExpires
)

// applyFrame copies ops: the caller may change them as soon as it gave up
// waiting, when they may not be written yet.
func applyFrame(id uint64, taking bool, ops []store.Op) ([]byte, error) {
	size := 3
	for i := range ops {
		size += 2 + len(ops[i].Key) + 1 + 8 + 12 + 4 + len(ops[i].Value)
	}
	b := newFrame(kindApply, id, size)
	b = append(b, flag(taking))
	b = binary.BigEndian.AppendUint16(b, uint16(len(ops)))
	for i := range ops {
		b = appendOp(b, &ops[i])
		b = append(b, ops[i].Value...)
	}
	return finish(b)
}

// appendOp appends an op but for the bytes of its value, which follow.
func appendOp(b []byte, op *store.Op) []byte {
	var has uint8
	if op.Value != nil {
		has |= opValue
	}
	if op.If != nil {
		has |= opIf
	}
	if !op.Expires.IsZero() {
		has |= opExpires
	}
	b = append(appendShort(b, op.Key), has)
	if op.If != nil {
		b = binary.BigEndian.AppendUint64(b, uint64(*op.If))
	}
	if !op.Expires.IsZero() {
		b = binary.BigEndian.AppendUint64(b, uint64(op.Expires.Unix()))
		b = binary.BigEndian.AppendUint32(b, uint32(op.Expires.Nanosecond()))
	}
	if op.Value != nil {
		b = binary.BigEndian.AppendUint32(b, uint32(len(op.Value)))
	}
	return b
}

func (p *parser) op() (op store.Op) {
	op.Key = p.short()
	has := p.uint8()
	if has&opIf != 0 {
		op.If = store.If(store.Version(p.uint64()))
	}
	if has&opExpires != 0 {
		op.Expires = time.Unix(int64(p.uint64()), int64(p.uint32()))
	}
	if has&opValue != 0 {
		op.Value = p.long()
	}
	return op
}

func parseApply(payload []byte) (taking bool, ops []store.Op, err error) {
	p := parser{rest: payload}
	taking = p.uint8() != 0
	n := int(p.uint16())
	if n > store.MaxOps {
		return false, nil, errNonsense
	}
	ops = make([]store.Op, n)
	for i := range ops {
		ops[i] = p.op()
	}
	return taking, ops, p.end()
}

// A result is the answer to a call.
type result struct {
	err       error
	committed uint64 // the last acknowledged sequence
	entries   []store.Entry
	dumped    []store.Op // of a Dump
}

// resultSegments returns a frame in pieces, so that values are not copied.
func resultSegments(id uint64, r result) [][]byte {
	b := newFrame(kindAnswer, id, 64)
	b = binary.BigEndian.AppendUint64(b, r.committed)
	b = appendError(b, r.err)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.entries)))
	segments := [][]byte{b}
	total := len(b)
	for i := range r.entries {
		e := &r.entries[i]
		head := make([]byte, 0, 2+len(e.Key)+8+4)
		head = appendShort(head, e.Key)
		head = binary.BigEndian.AppendUint64(head, uint64(e.Version))
		head = binary.BigEndian.AppendUint32(head, uint32(len(e.Value)))
		segments = append(segments, head, e.Value)
		total += len(head) + len(e.Value)
	}
	for i := range r.dumped {
		head := appendOp(make([]byte, 0, 2+len(r.dumped[i].Key)+1+8+12+4), &r.dumped[i])
		segments = append(segments, head, r.dumped[i].Value)
		total += len(head) + len(r.dumped[i].Value)
	}
	if total-4 > maxFrame {
		return resultSegments(id, result{err: store.ErrTooLarge, committed: r.committed})
	}
	binary.BigEndian.PutUint32(b, uint32(total-4))
	return segments
}

func parseResult(payload []byte) (r result, err error) {
	p := parser{rest: payload}
	r.committed = p.uint64()
	r.err = p.error()
	n := int(p.uint32())
	if n > len(p.rest)/14 {
		return result{}, errNonsense
	}
	if n > 0 {
		r.entries = make([]store.Entry, n)
	}
	for i := range r.entries {
		r.entries[i] = store.Entry{Key: p.short(), Version: store.Version(p.uint64()), Value: p.long()}
	}
	for len(p.rest) > 0 && !p.failed {
		r.dumped = append(r.dumped, p.op())
	}
	return r, p.end()
}

func flag(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
