package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestS13QRAddressInNoLog: the address of a QR code shows the secret of a pending
// enrollment to whoever has it, and those who read logs are many.
func TestS13QRAddressInNoLog(t *testing.T) {
	b := newBed(t)
	b.Load(strings.Replace(b.withAPI(b.config(keyFile, protectAdmin, ""), ""), "step_up_api {", "log\n\tstep_up_api {", 1))
	s := b.newServer(anyVerb...)
	status, begun := s.do("POST", "/v1/mfa/enroll", object{"user_id": "alice", "method": "totp"})
	if status != 200 {
		t.Fatalf("enrolling: %d %v", status, begun)
	}
	id, address := begun["enrollment_id"].(string), begun["qr_code_url"].(string)
	for _, tc := range []struct {
		method, url string
		want        int
	}{
		{"GET", address, 200}, {"HEAD", address, 200}, {"GET", address + "?again", 200}, {"POST", address, 405},
		{"GET", strings.Replace(address, "enr_", "enr%5F", 1), 200}, {"GET", strings.TrimSuffix(address, ".png"), 404},
	} {
		r, err := http.NewRequest(tc.method, tc.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, _ := b.send(r); resp.StatusCode != tc.want {
			t.Errorf("%s %s: %d, want %d", tc.method, tc.url, resp.StatusCode, tc.want)
		}
	}
	log := b.Log()
	for _, secret := range []string{id, strings.TrimPrefix(id, "enr_")} {
		if strings.Contains(log, secret) {
			t.Error("the enrollment's id is in the log")
		}
	}
	for _, line := range []string{`"uri":"/v1/mfa/enroll"`, "handled request", "a QR code was asked for", `"enrol begun"`} {
		if !strings.Contains(log, line) {
			t.Errorf("the log has no %s", line)
		}
	}
}

// TestS13WhySendingFailed: the operator is told why, without number or code; who
// waits for the code is not.
func TestS13WhySendingFailed(t *testing.T) {
	t.Setenv("TEST_SMS_SECRET", strings.Repeat("s", 32))
	b := newBed(t)
	b.Load(b.config(withSMS("webhook http://localhost:1/send?key=querykey {\nsecret {env.TEST_SMS_SECRET}\ndeadline 100ms\ntimeout 100ms\n}"), protectAdmin, ""))
	p := &person{b: b, name: "alice"}
	resp, told := p.do("POST", "/.step-up/api/phones", object{"phone_number": phone})
	if resp.StatusCode != http.StatusServiceUnavailable || told["code"] != "not_sent" {
		t.Fatalf("%d %v", resp.StatusCode, told)
	}
	log := b.Log()
	if !strings.Contains(log, "a code could not be sent") || !strings.Contains(log, "sending by webhook") {
		t.Error("the operator is not told why")
	}
	for _, private := range []string{phone[1:], phone[3:], "querykey"} {
		if strings.Contains(log, private) {
			t.Errorf("the log has %q in it", private)
		}
	}
}
