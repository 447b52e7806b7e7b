package main

import (
	"bufio"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stepup-gateway/caddy-stepup/totp"
)

// person is one user with a browser's cookies.
type person struct {
	port, name string
	client     *http.Client
	key        totp.Key
	step       totp.Step
}

func enroll(port, name string) (*person, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	p := &person{port: port, name: name, client: &http.Client{Jar: jar}}
	var begun struct{ ID, Secret string }
	if err := p.call("/totp", map[string]string{}, &begun); err != nil {
		return nil, err
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(begun.Secret)
	if err != nil {
		return nil, err
	}
	p.key = totp.Key{Secret: secret, Params: totp.Default()}
	return p, p.call("/totp/"+begun.ID+"/confirm", map[string]string{"code": p.code()}, nil)
}

func (p *person) code() string {
	p.step = max(p.step+1, totp.At(time.Now())-2)
	c, _ := totp.Code(p.key, time.Unix(int64(p.step)*30, 0))
	return c
}

func (p *person) call(path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequest("POST", "http://127.0.0.1:"+p.port+"/.step-up/api"+path, strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	req.Header.Set("X-Bench-User", p.name)
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		return fmt.Errorf("%s: %s: %s %w", path, resp.Status, answer, err)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

func (p *person) win(action string) (cookie string, err error) {
	var c struct {
		ID string `json:"challenge_id"`
	}
	if err := p.call("/challenges", map[string]string{"action_type": action}, &c); err != nil {
		return "", err
	}
	if err := p.call("/challenges/"+c.ID+"/verify", map[string]string{"method": "totp", "code": p.code()}, nil); err != nil {
		return "", err
	}
	req, _ := http.NewRequest("GET", "http://127.0.0.1:"+p.port, nil)
	for _, k := range p.client.Jar.Cookies(req.URL) {
		if strings.HasPrefix(k.Value, "sug_") {
			cookie = k.Name + "=" + k.Value
		}
	}
	return cookie, nil
}

func stepUp(port, name, action string) (string, error) {
	p, err := enroll(port, name)
	if err != nil {
		return "", err
	}
	return p.win(action)
}

// redemption spends one-time grants, one caller alone and 64 at once.
func redemption(port string) error {
	const each = 256
	rate := func(callers int, prefix string) (float64, error) {
		var requests []string
		for i := range each {
			name := fmt.Sprintf("%s-%d", prefix, i)
			cookie, err := stepUp(port, name, "WIRE")
			if err != nil {
				return 0, err
			}
			requests = append(requests, fmt.Sprintf("GET /wire/x HTTP/1.1\r\nHost: x\r\nX-Bench-User: %s\r\nCookie: %s\r\n\r\n", name, cookie))
		}
		var next, failed atomic.Int64
		var done sync.WaitGroup
		begin := time.Now()
		for range callers {
			done.Add(1)
			go func() {
				defer done.Done()
				conn, err := net.Dial("tcp", "127.0.0.1:"+port)
				if err != nil {
					failed.Add(1)
					return
				}
				defer conn.Close()
				r := bufio.NewReader(conn)
				for {
					i := next.Add(1) - 1
					if i >= each {
						return
					}
					io.WriteString(conn, requests[i])
					resp, err := http.ReadResponse(r, nil)
					if err != nil || resp.StatusCode != http.StatusOK {
						failed.Add(1)
						return
					}
					io.Copy(io.Discard, resp.Body)
				}
			}()
		}
		done.Wait()
		if failed.Load() > 0 {
			return 0, fmt.Errorf("%d redemptions failed", failed.Load())
		}
		return each / time.Since(begin).Seconds(), nil
	}
	var ones, manys, ratios []float64
	for i := range 3 {
		one, err := rate(1, fmt.Sprintf("one-%d", i))
		if err != nil {
			return err
		}
		many, err := rate(64, fmt.Sprintf("many-%d", i))
		if err != nil {
			return err
		}
		ones, manys, ratios = append(ones, one), append(manys, many), append(ratios, many/one)
	}
	fmt.Printf("one-time grants   %.0f redeemed/s by one caller, %.0f/s by 64, ratio %.1f, end to end and durable\n", median(ones), median(manys), median(ratios))
	return nil
}
