// Package sms is the other side of `sender webhook`: it takes texts from the
// gateway and passes them on.
//
// It takes what was signed with the shared secret within the last minutes, and each
// text once, however often it is offered. It forgets at its end what it has passed
// on; a receiver that is restarted often keeps the ids somewhere.
package sms

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxBody is more than a text of the gateway has, in bytes.
	maxBody = 16 << 10
	// maxAge is how far a signature may be off: longer than the gateway tries,
	// and too short for a text that somebody overheard to be of use.
	maxAge = 5 * time.Minute
)

// Receiver is an http.Handler. It is safe for concurrent use.
type Receiver struct {
	// Secret is the one of the gateway's configuration.
	Secret []byte
	// Deliver hands a text to anyone who sends it. Neither number nor text
	// belongs in a log.
	Deliver func(to, text string) error
	// Now is the clock.
	Now func() time.Time

	mu        sync.Mutex
	delivered map[string]time.Time // ids, with when they came
}

// ServeHTTP takes a text. 2xx says that it is passed on, 4xx that it never will be,
// 5xx that the gateway may offer it again.
func (rec *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "only POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "cannot be read", http.StatusBadRequest)
		return
	}
	// Of the body as it came: nothing in it is believed before.
	if err := rec.verify(r.Header.Get("Step-Up-Signature"), body); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	var m struct{ ID, To, Text string }
	if err := json.Unmarshal(body, &m); err != nil || m.ID == "" {
		http.Error(w, "not a text", http.StatusBadRequest)
		return
	}
	// One after the other, so that a text is not passed on twice by two offers
	// of it at the same time.
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if _, again := rec.delivered[m.ID]; !again {
		if err := rec.Deliver(m.To, m.Text); err != nil {
			http.Error(w, "not delivered", http.StatusBadGateway)
			return
		}
		rec.remember(m.ID)
	}
	w.WriteHeader(http.StatusNoContent)
}

// verify checks a signature, `t=UNIX_SECONDS,v1=HEX`.
func (rec *Receiver) verify(signature string, body []byte) error {
	at, sum, found := strings.Cut(strings.TrimPrefix(signature, "t="), ",v1=")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if !found || err != nil {
		return errors.New("no signature")
	}
	mac := hmac.New(sha256.New, rec.Secret)
	io.WriteString(mac, at+".")
	mac.Write(body)
	if got, err := hex.DecodeString(sum); err != nil || !hmac.Equal(got, mac.Sum(nil)) {
		return errors.New("another signature")
	}
	if age := rec.Now().Sub(time.Unix(seconds, 0)); age > maxAge || age < -maxAge {
		return errors.New("an old signature")
	}
	return nil
}

// remember keeps an id for as long as its signature would be taken.
func (rec *Receiver) remember(id string) {
	now := rec.Now()
	for old, came := range rec.delivered {
		if now.Sub(came) > 2*maxAge {
			delete(rec.delivered, old)
		}
	}
	if rec.delivered == nil {
		rec.delivered = make(map[string]time.Time)
	}
	rec.delivered[id] = now
}
