package etcd

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stepup-gateway/caddy-stepup/store"
)

func TestEndpoints(t *testing.T) {
	some := &tls.Config{}
	for _, c := range []struct {
		endpoints string
		tls       *tls.Config
		good      bool
		insecure  bool
	}{
		{"https://etcd1:2379", nil, true, false},
		{"https://etcd1:2379 https://10.0.0.2:2379/", some, true, false},
		{"http://127.0.0.1:2379", nil, true, false},
		{"http://localhost:2379 http://[::1]:2380", nil, true, false},
		{"", nil, false, false},
		{"http://etcd1:2379", nil, false, true},
		{"http://127.0.0.1:2379 http://10.0.0.2:2379", nil, false, true},
		{"http://127.0.0.1.example.com:2379", nil, false, true},
		{"http://127.0.0.1:2379 https://etcd1:2379", nil, false, false},
		{"http://127.0.0.1:2379", some, false, false},
		{"https://etcd1:2379", &tls.Config{InsecureSkipVerify: true}, false, true},
		{"etcd1:2379", nil, false, false},
		{"https://etcd1", nil, false, false},
		{"https://u:p@etcd1:2379", nil, false, false},
		{"https://etcd1:2379/x", nil, false, false},
		{"unix://localhost:2379", nil, false, false},
	} {
		err := Check(Options{Endpoints: strings.Fields(c.endpoints), TLS: c.tls})
		if (err == nil) != c.good || errors.Is(err, ErrInsecure) != c.insecure {
			t.Errorf("%q: %v", c.endpoints, err)
		}
	}
	for _, o := range []Options{{User: "u"}, {Password: "p"}} {
		o.Endpoints = []string{"https://etcd1:2379"}
		if Check(o) == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// TestNoServer: nothing is in use, and nothing hangs, where nobody answers.
func TestNoServer(t *testing.T) {
	s, err := Start(Options{Endpoints: []string{"http://127.0.0.1:1"}, Stale: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		s.Apply(t.Context(), store.Op{Key: []byte("a"), Value: []byte("1")}),
		func() error { _, err := s.Get(t.Context(), []byte("a")); return err }(),
		func() error { _, err := s.List(t.Context(), nil, nil, 1); return err }(),
	} {
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnknown) {
			t.Errorf("%v, want ErrUnavailable", err)
		}
	}
	if s.Current(time.Now()) || s.Health().Down == nil {
		t.Errorf("current: %v, health: %v", s.Current(time.Now()), s.Health().Down)
	}
	began := time.Now()
	if err := s.Close(); err != nil || time.Since(began) > 2*time.Second {
		t.Errorf("Close: %v after %v", err, time.Since(began))
	}
	if _, err := s.Get(t.Context(), []byte("a")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Get: %v", err)
	}
}

func TestLayout(t *testing.T) {
	for prefix, want := range map[string]string{"": "step_up/", "a": "a/", "a/": "a/", "a/b": "a/b/"} {
		if got := PrefixOf(prefix); got != want {
			t.Errorf("%q is %q, want %q", prefix, got, want)
		}
	}
	at := layoutOf("")
	for _, key := range []string{"a", "a\x00b", "\xff", "/", strings.Repeat("k", store.MaxKey), strings.Repeat("\xff", 200)} {
		if got := at.key([]byte(at.entry([]byte(key)))); string(got) != key {
			t.Errorf("%q came back as %q", key, got)
		}
		id := pieceID{1, 2, 0xff}
		owner, name, ok := at.owner([]byte(at.pieceOf([]byte(key), id) + "\x03"))
		if !ok || string(owner) != key || name != id {
			t.Errorf("the piece of %q is of %q, %v", key, owner, ok)
		}
	}
	for _, piece := range []string{"", "step_up/c/", "step_up/k/a", "step_up/c/\x05a", "step_up/c/\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a"} {
		if _, _, ok := at.owner([]byte(piece)); ok {
			t.Errorf("%q is a piece", piece)
		}
	}
	// No key of an entry is among the pieces of another, or what is watched.
	if strings.HasPrefix(at.entry([]byte("w/meta")), at.watched()) || strings.HasPrefix(at.pieceOf([]byte("ab"), pieceID{}), at.pieceOf([]byte("a"), pieceID{})) {
		t.Error("places overlap")
	}
}

func TestDecode(t *testing.T) {
	for _, value := range []string{"", "a", "\x00", "\x01"} {
		got, _, _, err := decode([]byte(encodeInline([]byte(value))))
		if err != nil || got == nil || string(got) != value {
			t.Errorf("%q came back as %q, %v", value, got, err)
		}
	}
	id := pieceID{9, 8, 7}
	if value, got, size, err := decode([]byte(encodePointer(id, store.MaxValue))); err != nil || value != nil || got != id || size != store.MaxValue {
		t.Errorf("%v %v %d, %v", value, got, size, err)
	}
	for _, bad := range []string{"", "\x02", "\x01", encodePointer(id, 1) + "x", encodePointer(id, store.MaxValue+1)} {
		if _, _, _, err := decode([]byte(bad)); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestVersions: no version of one generation is a revision in another.
func TestVersions(t *testing.T) {
	one, two := &identity{meta: meta{Generation: 1}}, &identity{meta: meta{Generation: 2}}
	v := one.version(77)
	if r, ok := one.revision(v); r != 77 || !ok {
		t.Errorf("revision %d, %v", r, ok)
	}
	if _, ok := two.revision(v); ok {
		t.Error("a version of another generation is one of this")
	}
	if one.version(1<<revisionBits-1) >= two.version(1) {
		t.Error("versions do not grow from generation to generation")
	}
}

func TestDiffers(t *testing.T) {
	record := func(generation uint64, begun string) meta {
		return meta{Schema: 1, Store: "s", Cluster: "c1", Generation: generation, Begun: begun}
	}
	at := func(m meta, seen, acknowledged int64) *identity {
		id := &identity{meta: m, raw: fmt.Sprint(m), cluster: 0xc1}
		id.seen.Store(seen)
		id.acknowledged.Store(acknowledged)
		now := time.Now()
		id.renewed.Store(&now)
		return id
	}
	old := at(record(1, "x"), 100, 5)
	long := at(record(1, "x"), 100, 5)
	past := time.Now().Add(-runLease)
	long.renewed.Store(&past)
	other := record(1, "x")
	other.Store = "another"
	cluster := record(1, "x")
	cluster.Cluster = "c2"
	for _, c := range []struct {
		name  string
		found meta
		old   *identity
		point point
		same  bool
	}{
		{"the same", record(1, "x"), old, point{100, 5}, true},
		{"further", record(1, "x"), old, point{200, 9}, true},
		{"first look", record(1, "x"), nil, point{1, 0}, true},
		{"another generation began", record(2, "y"), old, point{50, 0}, true},
		{"an older revision", record(1, "x"), old, point{99, 5}, false},
		{"a change is missing", record(1, "x"), old, point{300, 4}, false},
		{"the row is missing", record(1, "x"), old, point{300, 0}, false},
		{"the row ran out", record(1, "x"), long, point{300, 0}, true},
		{"the generation before", record(0, "w"), old, point{300, 5}, false},
		{"one of that number that began apart", record(1, "z"), old, point{300, 5}, false},
		{"another database", other, old, point{300, 5}, false},
		{"another cluster", cluster, nil, point{300, 5}, false},
	} {
		if cause := at(c.found, c.point.seen, 0).differs(c.old, c.old.last(), c.point); (cause == "") != c.same {
			t.Errorf("%s: %q", c.name, cause)
		}
	}
}

// TestClassify: only what certainly changed nothing is told as such.
func TestClassify(t *testing.T) {
	for _, c := range []struct {
		err     error
		is      error
		unknown bool
	}{
		{rpctypes.ErrGRPCNoLeader, errNow, false},
		{rpctypes.ErrGRPCRequestTooManyRequests, errNow, false},
		{rpctypes.ErrGRPCNoSpace, store.ErrNoSpace, false},
		{rpctypes.ErrGRPCPermissionDenied, store.ErrUnfit, false},
		{rpctypes.ErrGRPCUserEmpty, store.ErrUnfit, false},
		{rpctypes.ErrGRPCAuthFailed, store.ErrUnfit, false},
		{rpctypes.ErrGRPCTooManyOps, store.ErrUnfit, false},
		{rpctypes.ErrGRPCRequestTooLarge, store.ErrUnfit, false},
		{rpctypes.ErrGRPCCorrupt, store.ErrDamaged, false},
		{rpctypes.ErrGRPCTimeout, store.ErrUnavailable, true},
		{rpctypes.ErrGRPCTimeoutDueToLeaderFail, store.ErrUnavailable, true},
		{rpctypes.ErrGRPCTimeoutDueToConnectionLost, store.ErrUnavailable, true},
		{rpctypes.ErrGRPCLeaderChanged, store.ErrUnavailable, true},
		{rpctypes.ErrGRPCStopped, store.ErrUnavailable, true},
		{rpctypes.ErrGRPCUnhealthy, store.ErrUnavailable, true},
		{status.Error(codes.Unavailable, "connection reset"), store.ErrUnavailable, true},
		{status.Error(codes.DeadlineExceeded, ""), store.ErrUnavailable, true},
		{context.DeadlineExceeded, store.ErrUnavailable, true},
		{errors.New("whatever"), store.ErrUnavailable, true},
	} {
		if got := classify(c.err, true); !errors.Is(got, c.is) || errors.Is(got, store.ErrUnknown) != c.unknown {
			t.Errorf("%v, changing: %v", c.err, got)
		}
		if got := classify(c.err, false); !errors.Is(got, c.is) || errors.Is(got, store.ErrUnknown) {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}

func TestOldestServer(t *testing.T) {
	for version, good := range map[string]bool{
		"3.5.13": true, "3.5.35": true, "3.6.0": true, "v3.7.3": true, "4.0.0": true, "3.5.13-rc.0": true,
		"3.5.12": false, "3.5.8": false, "3.4.31": false, "2.3.8": false, "": false, "new": false,
	} {
		if err := checkVersion(version); (err == nil) != good || err != nil && !errors.Is(err, store.ErrUnfit) {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func TestRoom(t *testing.T) {
	member := func(size, quota int64) *clientv3.StatusResponse {
		r := pb.StatusResponse{DbSize: size, DbSizeQuota: quota}
		return (*clientv3.StatusResponse)(&r)
	}
	for _, c := range []struct {
		size, quota int64
		low         bool
	}{
		{79 << 20, 100 << 20, false}, {81 << 20, 100 << 20, true}, {1 << 30, 0, false}, {1800 << 20, 0, true}, {1 << 40, -1, false},
	} {
		if err := lowOf([]*clientv3.StatusResponse{member(1, 0), member(c.size, c.quota)}); (err != nil) != c.low || err != nil && !errors.Is(err, store.ErrNoSpace) {
			t.Errorf("%d of %d: %v", c.size, c.quota, err)
		}
	}
	var r room
	low := store.ErrNoSpace
	r.low.Store(&low)
	grows := &change{ops: []store.Op{{Key: []byte("a")}, {Key: []byte("b"), Value: []byte{}}}}
	if r.refusal(grows) == nil {
		t.Error("what grows is taken")
	}
	grows.taking = true
	if r.refusal(grows) != nil || r.refusal(&change{ops: grows.ops[:1]}) != nil {
		t.Error("what takes away, or deletes, is refused")
	}
}

func TestLeaseEnd(t *testing.T) {
	now := time.Now()
	for _, c := range []time.Duration{-time.Hour, 0, time.Second, 5 * time.Minute, time.Hour, 13 * time.Hour, 20 * 24 * time.Hour, 400 * 24 * time.Hour} {
		expires := now.Add(c)
		end, ok := leaseEnd(expires, now)
		later := end.Sub(expires)
		if !ok || later < expirySlack || end.Before(now.Add(expirySlack)) || c > 0 && later > expirySlack+24*time.Hour {
			t.Errorf("in %v: %v later, %v", c, later, ok)
		}
		if again, _ := leaseEnd(expires.Add(time.Nanosecond), now); again.Sub(end) > 24*time.Hour {
			t.Errorf("in %v: no lease is shared", c)
		}
	}
	for _, never := range []time.Time{{}, now.AddDate(1000, 0, 0)} {
		if _, ok := leaseEnd(never, now); ok {
			t.Errorf("%v has a lease", never)
		}
	}
	if steady(now, now.Add(time.Hour).Round(0).Add(0)) != true {
		t.Error("an hour without a steady clock is taken for a clock that was set")
	}
}

func TestClocks(t *testing.T) {
	var c clocks
	now := time.Now()
	tell := func(run string, off time.Duration, times int) {
		for range times {
			c.told(run, fmt.Sprint(now.Add(off).UnixNano()), now.Add(-200*time.Millisecond), now)
		}
	}
	want := func(when string, refused bool, text string) {
		t.Helper()
		err := c.refusal()
		if (err != nil) != refused || err != nil && (!strings.Contains(err.Error(), text) || !errors.Is(err, store.ErrUnavailable)) {
			t.Errorf("%s: %v", when, err)
		}
	}
	want("alone", false, "")
	tell("a", 3*time.Second, 10)
	want("3 s ahead", false, "")
	tell("a", 5*time.Second, 2)
	want("twice 5 s ahead", false, "")
	tell("a", 5*time.Second, 1)
	want("three times", true, "5s behind")
	tell("b", 0, 1)
	want("two against one", false, "")
	tell("b", -5*time.Second, 3)
	want("both differ", true, "clock")
	c.gone("a")
	want("only the other one", true, "ahead")
	tell("b", 0, 1)
	want("it is right again", false, "")
	c.told("b", "tomorrow", now, now)
	want("what cannot be read", false, "")
	tell("b", -time.Hour, 3)
	c.others["b"].at = now.Add(-silentAfter - time.Second)
	want("it went silent", false, "")
}

func TestHistory(t *testing.T) {
	h := history{keep: DefaultHistory}
	id := &identity{raw: "one"}
	now := time.Now()
	for minute := range 30 {
		id.seen.Store(int64(100 + minute))
		old := h.note(id, now.Add(time.Duration(minute)*time.Minute))
		if want := int64(max(0, 100+minute-10)); minute >= 10 && old != want || minute < 10 && old != 0 {
			t.Errorf("minute %d: %d", minute, old)
		}
	}
	if old := h.note(&identity{raw: "two"}, now.Add(time.Hour)); old != 0 {
		t.Errorf("a revision of another state: %d", old)
	}
}

// TestTransactionFits: the largest change stays below what is probed.
func TestTransactionFits(t *testing.T) {
	s := &Store{at: layoutOf(""), run: newRun(), room: room{look: make(chan struct{}, 1)}}
	id := &identity{meta: meta{Schema: 1, Cause: strings.Repeat("x", 1000)}, raw: strings.Repeat("x", 2000)}
	var c change
	for i := range store.MaxOps {
		key := bytes.Repeat([]byte{byte(i)}, store.MaxKey)
		c.told = append(c.told, key)
		c.ops = append(c.ops, store.Op{Key: key, Value: make([]byte, mostInline/store.MaxOps), If: store.If(id.version(1 << 39))})
	}
	changes, err := s.changes(t.Context(), id, &c)
	if err != nil {
		t.Fatal(err)
	}
	size, conditions := 0, s.guards(id)
	for _, op := range changes {
		size += len(op.KeyBytes()) + len(op.ValueBytes()) + 64
	}
	for i := range c.ops {
		conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(s.at.entry(c.ops[i].Key)), "=", 1<<39))
	}
	for i := range conditions {
		size += len(conditions[i].KeyBytes()) + len(conditions[i].ValueBytes()) + 64
	}
	if len(changes) > mostOps || len(conditions) > mostOps || size > largestRequest {
		t.Errorf("%d operations and %d conditions in %d bytes", len(changes), len(conditions), size)
	}
}
