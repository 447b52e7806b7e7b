package audit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Head is a place in a chain: the last line, unless it is said otherwise.
type Head struct {
	Chain Chain  `json:"chain"`
	Seq   uint64 `json:"seq"`
	Hash  Hash   `json:"hash"`
}

// String returns CHAIN:NUMBER:HASH.
func (h Head) String() string { return fmt.Sprintf("%s:%d:%s", h.Chain, h.Seq, h.Hash) }

var errHead = errors.New("a head is CHAIN:NUMBER:HASH")

// ParseHead reads what String returns.
func ParseHead(text string) (Head, error) {
	var h Head
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return h, errHead
	}
	seq, err := strconv.ParseUint(parts[1], 10, 64)
	h.Seq = seq
	if err != nil || seq == 0 || h.Chain.UnmarshalText([]byte(parts[0])) != nil || h.Hash.UnmarshalText([]byte(parts[2])) != nil {
		return Head{}, errHead
	}
	return h, nil
}
