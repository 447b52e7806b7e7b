// Command etcdserver runs the members of an etcd cluster in one process, for tests.
//
// It says "ready" when all serve, and then does what its standard input asks, line by
// line, and answers each with "ok" and what was asked for:
//
//	leader       the number of the leading member, from 0; -1: none leads
//	kill N       ends the member at once
//	run N        runs it again, with the data that it left
//	cut N        lets nothing pass between the member and the others
//	mend N       lets it pass again
//
// It ends with its standard input. It is a module of its own, so that nothing of the
// server is in the gateway's.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var (
	dir        = flag.String("dir", "", "The directory of the data")
	clients    = flag.String("clients", "", "The ports for clients, one for each member")
	peers      = flag.String("peers", "", "The ports between members, one for each")
	cert       = flag.String("cert", "", "The certificate of the members; empty: plain HTTP")
	key        = flag.String("key", "", "The key of the certificate")
	authority  = flag.String("authority", "", "The authority of the clients' certificates")
	quota      = flag.Int64("quota", 0, "The quota of each database, in bytes")
	mostOps    = flag.Uint("max-txn-ops", 128, "The most operations of one transaction")
	mostBytes  = flag.Uint("max-request-bytes", 1536<<10, "The most bytes of one request")
	forceAlone = flag.Int("force-alone", -1, "The member of which alone a new cluster is made")
)

func main() {
	flag.Parse()
	c := &cluster{}
	for i := range strings.Split(*clients, ",") {
		c.configs = append(c.configs, c.config(i))
	}
	c.members = make([]*embed.Etcd, len(c.configs))
	for i := range c.configs {
		if *forceAlone >= 0 && i != *forceAlone {
			continue
		}
		if err := c.start(i); err != nil {
			log.Fatal(err)
		}
	}
	for _, m := range c.members {
		if m != nil {
			<-m.Server.ReadyNotify()
		}
	}
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		answer, err := c.do(strings.Fields(in.Text()))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("ok", answer)
	}
}

type cluster struct {
	configs []*embed.Config
	members []*embed.Etcd
}

func (c *cluster) config(i int) *embed.Config {
	config := embed.NewConfig()
	config.Name = fmt.Sprintf("m%d", i)
	config.Dir = filepath.Join(*dir, config.Name)
	config.LogLevel = "error"
	config.TickMs, config.ElectionMs = 50, 500
	config.UnsafeNoFsync = true // tests kill members, not machines
	config.QuotaBackendBytes = *quota
	config.MaxTxnOps, config.MaxRequestBytes = *mostOps, *mostBytes
	scheme := "http"
	if *cert != "" {
		scheme = "https"
		config.ClientTLSInfo.CertFile, config.ClientTLSInfo.KeyFile = *cert, *key
		config.ClientTLSInfo.TrustedCAFile, config.ClientTLSInfo.ClientCertAuth = *authority, *authority != ""
	}
	at := func(scheme, ports string) []url.URL {
		return []url.URL{{Scheme: scheme, Host: "127.0.0.1:" + strings.Split(ports, ",")[i]}}
	}
	config.ListenClientUrls, config.AdvertiseClientUrls = at(scheme, *clients), at(scheme, *clients)
	config.ListenPeerUrls, config.AdvertisePeerUrls = at("http", *peers), at("http", *peers)
	var all []string
	for n, port := range strings.Split(*peers, ",") {
		all = append(all, fmt.Sprintf("m%d=http://127.0.0.1:%s", n, port))
	}
	config.GRPCAdditionalServerOptions = []grpc.ServerOption{grpc.ChainUnaryInterceptor(survive)}
	config.InitialCluster = strings.Join(all, ",")
	config.ForceNewCluster = i == *forceAlone
	return config
}

// survive ends a call that finds the member gone from under it, as it may where that
// is killed: its end must not be that of the others, which share its process.
func survive(ctx context.Context, in any, _ *grpc.UnaryServerInfo, answer grpc.UnaryHandler) (out any, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			out, err = nil, status.Errorf(codes.Unavailable, "killed: %v", cause)
		}
	}()
	return answer(ctx, in)
}

func (c *cluster) start(i int) (err error) {
	c.members[i], err = embed.StartEtcd(c.configs[i])
	return err
}

func (c *cluster) do(words []string) (answer string, err error) {
	if len(words) == 1 && words[0] == "leader" {
		return strconv.Itoa(c.leader()), nil
	}
	if len(words) != 2 {
		return "", fmt.Errorf("not understood: %q", words)
	}
	i, err := strconv.Atoi(words[1])
	if err != nil || i < 0 || i >= len(c.members) {
		return "", fmt.Errorf("no member %q", words[1])
	}
	switch words[0] {
	case "kill":
		c.members[i].Server.HardStop()
		c.members[i].Close()
		c.members[i] = nil
	case "run":
		if err := c.start(i); err != nil {
			return "", err
		}
		select {
		case <-c.members[i].Server.ReadyNotify():
		case <-time.After(30 * time.Second):
			return "", fmt.Errorf("member %d is not ready", i)
		}
	case "cut":
		c.pairs(i, func(a, b *embed.Etcd) { a.Server.CutPeer(id(b)) })
	case "mend":
		c.pairs(i, func(a, b *embed.Etcd) { a.Server.MendPeer(id(b)) })
	default:
		return "", fmt.Errorf("not understood: %q", words)
	}
	return "", nil
}

func id(m *embed.Etcd) types.ID { return types.ID(m.Server.MemberID()) }

// pairs does something in both directions between a member and each other one.
func (c *cluster) pairs(i int, do func(a, b *embed.Etcd)) {
	for n, other := range c.members {
		if n != i && other != nil {
			do(c.members[i], other)
			do(other, c.members[i])
		}
	}
}

// leader is the member that others follow: one that was cut off may not know better.
func (c *cluster) leader() int {
	votes := map[types.ID]int{}
	for _, m := range c.members {
		if m != nil {
			votes[types.ID(m.Server.Lead())]++
		}
	}
	for i, m := range c.members {
		if m != nil && votes[id(m)] > len(c.members)/2 {
			return i
		}
	}
	return -1
}
