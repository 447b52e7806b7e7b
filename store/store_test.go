package store_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/store"
)

func TestIf(t *testing.T) {
	a, b := store.If(7), store.If(7)
	if *a != 7 || a == b {
		t.Error("If does not make a version of its own")
	}
}

func TestCheckOps(t *testing.T) {
	long := bytes.Repeat([]byte("k"), store.MaxKey)
	many := make([]store.Op, store.MaxOps)
	for i := range many {
		many[i].Key = append(bytes.Repeat([]byte("secret"), 10), byte(i), byte(i>>8))
	}
	repeated := func(n int) []store.Op {
		ops := append([]store.Op(nil), many[:n]...)
		ops[n-1].Key = ops[0].Key
		return ops
	}
	for _, c := range []struct {
		name string
		ops  []store.Op
		want error
	}{
		{"none", nil, nil},
		{"one", []store.Op{{Key: []byte("k")}}, nil},
		{"the most", many, nil},
		{"the longest", []store.Op{{Key: long, Value: make([]byte, store.MaxValue)}}, nil},
		{"keys that differ at the end", []store.Op{{Key: long}, {Key: long[1:]}}, nil},
		{"one more", append(many[:len(many):len(many)], store.Op{Key: []byte("k")}), store.ErrTooLarge},
		{"longer key", []store.Op{{Key: append(long[:len(long):len(long)], 'k')}}, store.ErrTooLarge},
		{"longer value", []store.Op{{Key: long, Value: make([]byte, store.MaxValue+1)}}, store.ErrTooLarge},
		{"nil key", []store.Op{{}}, store.ErrInvalid},
		{"empty key", []store.Op{{Key: []byte{}, Value: []byte("v")}}, store.ErrInvalid},
		{"key twice of two", repeated(2), store.ErrInvalid},
		{"key twice of 16", repeated(16), store.ErrInvalid},
		{"key twice of 17", repeated(17), store.ErrInvalid},
		{"key twice of the most", repeated(store.MaxOps), store.ErrInvalid},
	} {
		err := store.CheckOps(c.ops)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "kkkk")) {
			t.Errorf("%s: %q shows a key", c.name, err)
		}
	}
}

func TestCheckList(t *testing.T) {
	long := make([]byte, store.MaxKey+1)
	for _, c := range []struct {
		name          string
		prefix, after []byte
		limit         int
		want          error
	}{
		{"everything", nil, nil, 1, nil},
		{"the longest", long[1:], long[1:], 1 << 30, nil},
		{"no limit", nil, nil, 0, store.ErrInvalid},
		{"negative limit", nil, nil, -1, store.ErrInvalid},
		{"longer prefix", long, nil, 1, store.ErrTooLarge},
		{"longer position", nil, long, 1, store.ErrTooLarge},
	} {
		if err := store.CheckList(c.prefix, c.after, c.limit); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}
