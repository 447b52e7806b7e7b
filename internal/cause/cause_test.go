package cause_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/cause"
)

func TestOf(t *testing.T) {
	narrow := cause.Narrow(cause.ErrNotFound, cause.Expired, "it ran out")
	for _, c := range []struct {
		err  error
		want cause.Word
	}{
		{nil, ""},
		{errors.New("a failure"), ""},
		{cause.ErrNotFound, cause.NotFound},
		{fmt.Errorf("looking: %w", cause.ErrNotFound), cause.NotFound},
		{narrow, cause.Expired},
		{errors.Join(errors.New("a failure"), narrow), cause.Expired},
		{&cause.Field{Name: "label"}, cause.InvalidRequest},
	} {
		if got := cause.Of(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
	for _, wide := range []error{cause.ErrNotFound, errors.Join(cause.ErrNotFound)} {
		if errors.Is(wide, narrow) {
			t.Errorf("%v is taken for what is narrower", wide)
		}
	}
	if !errors.Is(narrow, cause.ErrNotFound) || narrow.Error() != "not found: it ran out" {
		t.Error(narrow)
	}
	if err := error(&cause.Field{Name: "label", Detail: "is missing"}); !errors.Is(err, cause.ErrInvalid) || errors.Is(err, cause.ErrLimit) {
		t.Error(err)
	}
}
