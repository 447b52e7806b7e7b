package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// throughput sends the same requests through the gateway and through plain Caddy,
// in turn.
func throughput(gate, plain target, cookie string) error {
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
		ratios, gates, plains = append(ratios, g.rate/p.rate), append(gates, g.rate), append(plains, p.rate)
	}
	fmt.Printf("end to end        %.0f requests/s, plain Caddy %.0f, ratio %s, %d connections, %d rounds of %s\n",
		median(gates), median(plains), quartiles(ratios), *connections, *rounds, *seconds)
	return nil
}

// besidePlain compares a route of the gateway with a plain one of the same
// process, and that with itself: the difference of the latter is what the
// measurement is worth.
func besidePlain(gate, plain target, cookie string) error {
	var rates, times, rates2, times2 []float64
	for i := range *pairs + 1 {
		var got [3]loaded
		for j, at := range []target{plain, gate, plain} {
			var err error
			if got[j], err = load(at, cookie); err != nil {
				return err
			}
		}
		if i == 0 {
			continue // warm-up
		}
		// Between two that are alike, so that a drift is nobody's.
		rate, busy := (got[0].rate+got[2].rate)/2, (got[0].busy+got[2].busy)/2
		rates, times = append(rates, got[1].rate/rate), append(times, got[1].busy/busy)
		rates2, times2 = append(rates2, got[2].rate/got[0].rate), append(times2, got[2].busy/got[0].busy)
	}
	fmt.Printf("in one process    requests/s of a plain route %s, processor's time for each %s, %d rounds of %s\n", quartiles(rates), quartiles(times), *pairs, *seconds)
	fmt.Printf("plain to plain    requests/s %s, processor's time for each %s\n", quartiles(rates2), quartiles(times2))
	return nil
}

// quartiles writes the median and the quartiles.
func quartiles(x []float64) string {
	x = slices.Sorted(slices.Values(x))
	return fmt.Sprintf("%.3f (%.3f to %.3f)", x[len(x)/2], x[len(x)/4], x[len(x)*3/4])
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}

// viewing is a request of somebody with a live grant.
func viewing(port, user, cookie string) string { return asking("/view/account", port, user, cookie) }

func asking(path, port, user, cookie string) string {
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nX-Bench-User: %s\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html,*/*;q=0.8\r\n"+
		"Accept-Language: en\r\nAccept-Encoding: identity\r\nCookie: session=0123456789abcdef; theme=dark; %s\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\n"+
		"Sec-Fetch-Dest: document\r\nCache-Control: max-age=0\r\nReferer: http://127.0.0.1/\r\n\r\n", path, port, user, cookie)
}

// target is a site to send requests to.
type target struct {
	port string
	pid  int
}

// loaded is what one round has shown.
type loaded struct {
	rate float64 // requests/s
	busy float64 // seconds of the processor for a request, with those of the database's process
}

// load sends the same request for one round.
func load(at target, cookie string) (loaded, error) {
	return loadEach(at, *seconds, always(viewing(at.port, "bench", cookie)))
}

// always draws the same request.
func always(request string) func() string { return func() string { return request } }

// loadEach sends the requests that it draws for one round.
func loadEach(at target, length time.Duration, draw func() string) (loaded, error) {
	before, err := busy(at.pid)
	if err != nil {
		return loaded{}, err
	}
	var (
		done  sync.WaitGroup
		count atomic.Int64
		fail  atomic.Pointer[error]
		stop  = time.Now().Add(length)
	)
	for range *connections {
		done.Add(1)
		go func() {
			defer done.Done()
			n, err := hammer(at.port, draw, stop)
			count.Add(n)
			if err != nil {
				fail.Store(&err)
			}
		}()
	}
	done.Wait()
	if err := fail.Load(); err != nil {
		return loaded{}, *err
	}
	after, err := busy(at.pid)
	n := float64(count.Load())
	return loaded{rate: n / length.Seconds(), busy: (after - before).Seconds() / n}, err
}

// pin gives servers, with their children, one processor, and this process the others,
// where taskset is there: what both would take of each other's is measured otherwise.
// unpin gives this process all of them again, which those that it starts inherit.
func pin(servers ...int) (unpin func()) {
	n := runtime.NumCPU()
	if n < 2 {
		return func() {}
	}
	for _, pid := range servers {
		for _, pid := range append(childrenOf(pid), pid) {
			bind(pid, "0")
		}
	}
	bind(os.Getpid(), fmt.Sprintf("1-%d", n-1))
	return func() { bind(os.Getpid(), fmt.Sprintf("0-%d", n-1)) }
}

func bind(pid int, cpus string) {
	if err := exec.Command("taskset", "-a", "-c", "-p", cpus, strconv.Itoa(pid)).Run(); err != nil {
		fmt.Println("not pinned:", err)
	}
}

func hammer(port string, draw func() string, stop time.Time) (n int64, err error) {
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for time.Now().Before(stop) {
		request := draw()
		if request == "" {
			return n, errors.New("there are too few grants for so many rounds")
		}
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
