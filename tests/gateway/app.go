package gateway

import (
	"encoding/base32"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/totp"
)

// App is an authenticator app with one account in it. The gateway must allow a
// skew of [totp.MaxSkew] steps: then several codes are good at the same time, and
// no test waits for the next one.
type App struct {
	Key  totp.Key
	last totp.Step
}

// NewApp takes a secret as people type it.
func NewApp(secret string) (App, error) {
	plain := strings.ToUpper(strings.Join(strings.Fields(secret), ""))
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(plain)
	if err != nil {
		return App{}, err
	}
	return App{Key: totp.Key{Secret: raw, Params: totp.Params{Algorithm: totp.SHA1, Digits: 6, Skew: totp.MaxSkew}}}, nil
}

// typing is how long a code is good at least, so that there is time to enter it.
const typing = 10 * time.Second

// Code is a code that was not used yet.
func (a *App) Code(t T) string {
	t.Helper()
	step := max(a.last+1, totp.At(time.Now().Add(typing))-totp.MaxSkew)
	for step > totp.At(time.Now())+totp.MaxSkew {
		time.Sleep(200 * time.Millisecond)
	}
	a.last = step
	code, err := totp.Code(a.Key, time.Unix(int64(step)*int64(totp.Period/time.Second), 0))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// WrongCode is one that the app shows neither now nor in any step near now.
func (a *App) WrongCode() string {
	for _, code := range []string{"000000", "111111", "222222", "333333", "444444", "555555"} {
		if _, err := totp.Match(a.Key, code, time.Now(), 0); err != nil {
			return code
		}
	}
	panic("six codes are right at the same time")
}
