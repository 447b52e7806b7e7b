package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// throughput sends the same requests through both, in turn.
func throughput(gate, plain, cookie string) error {
	var ratios, gates, plains []float64
	for i := range *rounds + 1 {
		g, err := load(gate, cookie)
		if err != nil {
			return err
		}
		p, err := load(plain, cookie)
		if err != nil {
			return err
		}
		if i == 0 {
			continue // warm-up
		}
		ratios, gates, plains = append(ratios, g/p), append(gates, g), append(plains, p)
	}
	fmt.Printf("end to end        %.0f requests/s, plain reverse_proxy %.0f, ratio %.3f (%.3f to %.3f), %d connections, %d rounds of %s\n",
		median(gates), median(plains), median(ratios), slices.Min(ratios), slices.Max(ratios), *connections, *rounds, *seconds)
	return nil
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}

// viewing is a request of somebody with a live grant.
func viewing(port, user, cookie string) string {
	return fmt.Sprintf("GET /view/account HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nX-Bench-User: %s\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html,*/*;q=0.8\r\n"+
		"Accept-Language: en\r\nAccept-Encoding: identity\r\nCookie: session=0123456789abcdef; theme=dark; %s\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\n"+
		"Sec-Fetch-Dest: document\r\nCache-Control: max-age=0\r\nReferer: http://127.0.0.1/\r\n\r\n", port, user, cookie)
}

// load gives the requests/s of one round.
func load(port, cookie string) (float64, error) {
	request := viewing(port, "bench", cookie)
	var (
		done  sync.WaitGroup
		count atomic.Int64
		fail  atomic.Pointer[error]
		stop  = time.Now().Add(*seconds)
	)
	for range *connections {
		done.Add(1)
		go func() {
			defer done.Done()
			n, err := hammer(port, request, stop)
			count.Add(n)
			if err != nil {
				fail.Store(&err)
			}
		}()
	}
	done.Wait()
	if err := fail.Load(); err != nil {
		return 0, *err
	}
	return float64(count.Load()) / seconds.Seconds(), nil
}

func hammer(port, request string, stop time.Time) (n int64, err error) {
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for time.Now().Before(stop) {
		if _, err := io.WriteString(conn, request); err != nil {
			return n, err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return n, err
		}
		if resp.StatusCode != http.StatusOK {
			return n, fmt.Errorf("unexpected answer %s", resp.Status)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
