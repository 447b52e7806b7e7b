package problem

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func write(p Problem) (*http.Response, map[string]any) {
	w := httptest.NewRecorder()
	Write(w, p)
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		panic(err)
	}
	return w.Result(), got
}

func TestStepUpChallengeSaysWhatBothRFCsAsk(t *testing.T) {
	res, got := write(Problem{Code: StepUpRequired, Detail: "d", Challenge: Challenge{
		ID: "abc", ActionType: "WITHDRAW_FUNDS", GrantType: "ONE_TIME_USE", MaxAge: 2 * time.Minute, Methods: []string{"totp"},
		VerifyURL: "/.step-up/challenge/abc", APIURL: "/.step-up/api/challenges/abc",
		Expires: time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)),
	}})
	want := map[string]any{
		"status": 401.0, "title": "Unauthorized", "code": "insufficient_user_authentication", "detail": "d",
		"action_type": "WITHDRAW_FUNDS", "grant_type": "ONE_TIME_USE", "max_age": 120.0, "methods": []any{"totp"},
		"challenge_id": "abc", "verify_url": "/.step-up/challenge/abc", "api_url": "/.step-up/api/challenges/abc",
		"expires_at": "2026-01-02T02:04:05Z",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if g, w := res.Header.Get("WWW-Authenticate"), `Bearer error="insufficient_user_authentication", error_description="A step-up for this action is required", acr_values="WITHDRAW_FUNDS", max_age=120`; g != w {
		t.Errorf("WWW-Authenticate: %s", g)
	}
	if res.StatusCode != 401 || res.Header.Get("Content-Type") != ContentType || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("status %d, header %v", res.StatusCode, res.Header)
	}
}

func TestProblemsHoldOnlyWhatTheirCodeSays(t *testing.T) {
	for code := range statuses {
		res, got := write(Problem{Code: code, AttemptsLeft: 3})
		for name, want := range map[string]string{
			"Content-Type": ContentType, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", code, name, got, want)
			}
		}
		for _, member := range []string{"challenge_id", "max_age", "expires_at"} {
			if _, ok := got[member]; ok != (code == StepUpRequired) && member != "challenge_id" {
				t.Errorf("%s: %s is %v", code, member, got[member])
			}
		}
		if _, ok := got["attempts_left"]; ok != (code == InvalidCode) {
			t.Errorf("%s: attempts_left is %v", code, got["attempts_left"])
		}
		if got["title"] == "" || got["status"] == 500.0 {
			t.Errorf("%s: %v", code, got)
		}
	}
}

func TestWaitsAreRoundedUp(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "", 1: "1", time.Second: "1", time.Second + 1: "2", time.Hour: "3600"} {
		res, _ := write(Problem{Code: TooManyAttempts, RetryAfter: d})
		if got := res.Header.Get("Retry-After"); got != want {
			t.Errorf("%v: Retry-After %q, want %q", d, got, want)
		}
	}
}

// Programs show the detail to people, who see a code and nothing else without it.
func TestDetailsAreSentencesForEverybody(t *testing.T) {
	for _, code := range []Code{CrossOrigin, NotFound, InvalidCode, TooManyAttempts} {
		_, got := write(Problem{Code: code})
		detail, _ := got["detail"].(string)
		if !strings.HasSuffix(detail, ".") || len(detail) < 20 {
			t.Errorf("%s: %q", code, detail)
		}
		if _, got := write(Problem{Code: code, Detail: "d"}); got["detail"] != "d" {
			t.Errorf("%s: %v, want what is known of this case", code, got["detail"])
		}
	}
}
