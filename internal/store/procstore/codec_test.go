package procstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// payloadOf is what a reader gets of a frame.
func payloadOf(t testing.TB, frame []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	_, _, payload, err := readFrame(bytes.NewReader(frame))
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestOpsCross(t *testing.T) {
	ops := []store.Op{
		{Key: []byte("a"), Value: []byte("1")},
		{Key: []byte("deleted"), If: store.If(7)},
		{Key: []byte("empty"), Value: []byte{}, If: store.If(0)},
		{Key: bytes.Repeat([]byte("k"), store.MaxKey), Value: make([]byte, store.MaxValue), Expires: time.Date(2500, 1, 2, 3, 4, 5, 6, time.UTC)},
	}
	for _, taking := range []bool{false, true} {
		frame, err := applyFrame(9, taking, ops)
		gotTaking, got, err := parseApply(payloadOf(t, frame, err))
		if err != nil || gotTaking != taking || len(got) != len(ops) {
			t.Fatalf("%v, %v, %d ops", err, gotTaking, len(got))
		}
		for i, op := range ops {
			if !got[i].Expires.Equal(op.Expires) || (got[i].Value == nil) != (op.Value == nil) {
				t.Errorf("op %d: %v, %v", i, got[i].Expires, got[i].Value == nil)
			}
			got[i].Expires = op.Expires
			if !reflect.DeepEqual(got[i], op) {
				t.Errorf("op %d differs", i)
			}
		}
	}
}

func TestErrorsCross(t *testing.T) {
	for _, err := range []error{
		nil, store.ErrNotFound, store.ErrConflict, context.Canceled,
		fmt.Errorf("%w: %w", store.ErrUnknown, badgerstore.ErrFailed),
		fmt.Errorf("opening: %w", &fs.PathError{Op: "open", Path: "/x", Err: syscall.EMFILE}),
		fmt.Errorf("opening: %w", fs.ErrPermission),
		errors.New(strings.Repeat("long ", 10_000)),
	} {
		r := bytes.Join(resultSegments(3, result{err: err, committed: 5}), nil)
		got, parseErr := parseResult(payloadOf(t, r, nil))
		if parseErr != nil || got.committed != 5 || (got.err == nil) != (err == nil) {
			t.Fatalf("%v: %v, %+v", err, parseErr, got)
		}
		for _, s := range sentinels {
			if errors.Is(got.err, s) != errors.Is(err, s) {
				t.Errorf("%v: errors.Is(%v) is %v", err, s, errors.Is(got.err, s))
			}
		}
		if err != nil && !strings.HasPrefix(err.Error(), got.err.Error()) {
			t.Errorf("%v became %v", err, got.err)
		}
	}
}

// FuzzFrames: what is no frame is an error for both ends, and costs no memory
// that has not come.
func FuzzFrames(f *testing.F) {
	apply, _ := applyFrame(1, true, []store.Op{{Key: []byte("a"), Value: []byte("1"), If: store.If(2), Expires: time.Unix(1, 2)}})
	list, _ := listFrame(2, []byte("p"), []byte("q"), 3)
	f.Add(apply)
	f.Add(list)
	f.Add(bytes.Join(resultSegments(3, result{err: store.ErrConflict, entries: []store.Entry{{Key: []byte("k"), Value: []byte("v"), Version: 4}}}), nil))
	f.Add([]byte("panic: this is no frame at all, but what a program says that crashed\n"))
	f.Add([]byte{0x40, 0, 0, 0, byte(kindApply), 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, payload, err := readFrame(bytes.NewReader(b))
		if err != nil {
			payload = b
		}
		if taking, ops, err := parseApply(payload); err == nil {
			again, err := applyFrame(1, taking, ops)
			if _, more, err := parseApply(payloadOf(t, again, err)); err != nil || len(more) != len(ops) {
				t.Errorf("%v, %d ops of %d", err, len(more), len(ops))
			}
		}
		parseList(payload)
		parseResult(payload)
	})
}

// TestNonsenseEndsTheChild: a child that is told what makes no sense says so and
// ends; one that is started by a person tells what it is for.
func TestNonsenseEndsTheChild(t *testing.T) {
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	hello := jsonFrame(kindHello, hello{Protocol: protocol, Build: build(), Dir: t.TempDir()})
	other := jsonFrame(kindHello, map[string]any{"protocol": protocol, "build": "another", "dir": t.TempDir()})
	for _, tc := range []struct {
		name string
		in   []byte
		says string
	}{
		{"nothing", nil, "of no use on its own"},
		{"text", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "of no use on its own"},
		{"another program", other, "restart Caddy"},
		{"a length beyond all bounds", append(bytes.Clone(hello), bytes.Repeat([]byte{0xff}, 20)...), ""},
		{"an unknown kind", append(bytes.Clone(hello), 0, 0, 0, 9, 99, 0, 0, 0, 0, 0, 0, 0, 1), "do not understand each other"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, path, argument)
			// The end of the input is another reason to end.
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				in.Write(tc.in)
				if len(tc.in) == 0 || tc.name == "text" {
					in.Close()
				}
			}()
			out, _ := cmd.CombinedOutput()
			if ctx.Err() != nil {
				t.Fatal("it does not end")
			}
			if !bytes.Contains(out, []byte(tc.says)) {
				t.Errorf("it says %q, want %q", out, tc.says)
			}
			in.Close()
		})
	}
}
