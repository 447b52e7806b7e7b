package backup

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// Forge makes a backup of those rows of another one that keep wants, with sums that fit
// and the other one's tag.
func Forge(t testing.TB, file []byte, keep func(n int, op store.Op) bool) []byte {
	t.Helper()
	in, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	out := newWriter(&b)
	if err := out.head(in.Head); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		op, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && keep(n, op) {
			err = out.row(&op)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := out.end(func([32]byte) []byte { return in.tag }); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
