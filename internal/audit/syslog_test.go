package audit

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// receiver is a syslog server: what it received, message by message.
type receiver struct {
	mu       sync.Mutex
	messages []string
}

func (r *receiver) add(m string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages = append(r.messages, m)
}

func (r *receiver) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.messages...)
}

// await waits until n messages came.
func (r *receiver) await(t testing.TB, n int) []string {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if got := r.got(); len(got) >= n {
			return got
		}
		if time.Since(begun) > 15*time.Second {
			t.Fatalf("%d messages came, want %d", len(r.got()), n)
		}
	}
}

// datagrams receives one message a datagram.
func (r *receiver) datagrams(t testing.TB, c net.PacketConn) {
	t.Cleanup(func() { c.Close() })
	go func() {
		for buf := make([]byte, 64<<10); ; {
			n, _, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			r.add(string(buf[:n]))
		}
	}()
}

// streams receives messages with their octets counted.
func (r *receiver) streams(t testing.TB, l net.Listener) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewReader(c); ; {
					size, err := in.ReadString(' ')
					if err != nil {
						return
					}
					n, err := strconv.Atoi(strings.TrimSpace(size))
					if err != nil {
						r.add("bad count " + size)
						return
					}
					m := make([]byte, n)
					if _, err := io.ReadFull(in, m); err != nil {
						return
					}
					if r.add(string(m)); strings.Contains(string(m), "hang up") {
						return
					}
				}
			}()
		}
	}()
}

// ownCertificate is for 127.0.0.1, and the pool that knows it.
func ownCertificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	s := httptest.NewTLSServer(nil)
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s.TLS.Certificates[0], pool
}

var rfc5424 = regexp.MustCompile(`^<(\d+)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z gw1 caddy-step-up \d+ (\w+) \[stepup@32473( [a-z_]+="([^"\\\]]|\\["\\\]])*")+\] (\{.*\})$`)

func TestSyslog(t *testing.T) {
	cert, pool := ownCertificate(t)
	for _, network := range []string{"udp", "tcp", "tls", "unix"} {
		t.Run(network, func(t *testing.T) {
			var r receiver
			o := SyslogOptions{Network: network, Problem: func(err error) { t.Error("problem", err) }}
			switch network {
			case "udp":
				c, err := net.ListenPacket("udp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				o.Address = c.LocalAddr().String()
				r.datagrams(t, c)
			case "unix":
				o.Address = filepath.Join(t.TempDir(), "log")
				c, err := net.ListenPacket("unixgram", o.Address)
				if err != nil {
					t.Fatal(err)
				}
				r.datagrams(t, c)
			default:
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				if o.Address = l.Addr().String(); network == "tls" {
					l, o.TLS = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}}), &tls.Config{RootCAs: pool}
				}
				r.streams(t, l)
			}
			s := NewSyslog(o)
			p := newPlace(t)
			l := p.log()
			l.Attach(s)
			l.Attach(s)
			l.Detach(s)
			e := entry(0)
			e.Outcome, e.User, e.Action = "refused", `a"b]c\d`, "two\nlines ü"
			l.Write(e)
			for i := range 50 {
				l.Write(entry(i))
			}
			got := r.await(t, 52)
			var log strings.Builder
			for i, m := range got {
				parts := rfc5424.FindStringSubmatch(m)
				if parts == nil {
					t.Fatalf("message %d is %q", i, m)
				}
				want := "110"
				if i == 1 {
					want = "109"
				}
				if parts[1] != want {
					t.Errorf("priority %s, want %s", parts[1], want)
				}
				log.WriteString(parts[len(parts)-1] + "\n")
			}
			if !strings.Contains(got[1], ` user="a\"b\]c\\d"`) || !strings.Contains(got[1], ` action_type="two lines ü"`) {
				t.Error(got[1])
			}
			close1(t, l)
			s.Close()
			if log.String() != string(p.read(p.file)) {
				t.Error("what was sent is not what is in the file")
			}
			if st := s.Status(); st.Sent != 52 || st.Lost != 0 || st.Err != nil {
				t.Errorf("%+v", st)
			}
		})
	}
}

// A receiver that is not there, and comes back, is told, and no line is lost.
func TestSyslogComesBack(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	var told receiver
	s := NewSyslog(SyslogOptions{Network: "tcp", Address: address, Problem: func(err error) { told.add(fmt.Sprint(err)) }})
	p := newPlace(t)
	log := p.open()
	log.Attach(s)
	log.Write(entry(1))
	told.await(t, 1)
	if st := s.Status(); st.Err == nil || st.Waiting != 1 {
		t.Errorf("while nobody listens: %+v", st)
	}
	var r receiver
	if l, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	r.streams(t, l)
	r.await(t, 1)
	e := entry(2)
	e.Object = "hang up" // and the receiver ends the connection
	log.Write(e)
	r.await(t, 2)
	time.Sleep(100 * time.Millisecond)
	log.Write(entry(3))
	r.await(t, 3)
	if got := told.await(t, 2); !strings.Contains(got[0], "refused") || got[1] != "<nil>" {
		t.Errorf("told %q", got)
	}
	close1(t, log)
	s.Close()
}

// Nobody waits for a receiver that takes nothing: lines beyond the bound are counted.
func TestSyslogThatHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // and never accepts more than the kernel does
	s := NewSyslog(SyslogOptions{Network: "tcp", Address: l.Addr().String(), Problem: func(error) {}})
	line, text, err := next(Head{}, entry(1))
	if err != nil {
		t.Fatal(err)
	}
	text = append(text[:len(text)-1], strings.Repeat(" ", 8<<10)...)
	begun := time.Now()
	for range maxQueued + 2000 {
		s.deliver(&line, text)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("delivering took %v", took)
	}
	if st := s.Status(); st.Lost == 0 || st.Waiting != maxQueued {
		t.Errorf("%+v", st)
	}
	begun = time.Now()
	s.Close()
	if took := time.Since(begun); took > writeTimeout+2*drain {
		t.Errorf("closing took %v", took)
	}
}

// A certificate that is not known is refused.
func TestSyslogVerifiesTheReceiver(t *testing.T) {
	cert, _ := ownCertificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	var r, told receiver
	r.streams(t, l)
	s := NewSyslog(SyslogOptions{Network: "tls", Address: l.Addr().String(), TLS: new(tls.Config), Problem: func(err error) { told.add(fmt.Sprint(err)) }})
	line, text, err := next(Head{}, entry(1))
	if err != nil {
		t.Fatal(err)
	}
	s.deliver(&line, text)
	if got := told.await(t, 1); !strings.Contains(got[0], "certificate") {
		t.Error(got)
	}
	if s.Close(); len(r.got()) > 0 {
		t.Error("sent to nobody knows whom")
	}
}
