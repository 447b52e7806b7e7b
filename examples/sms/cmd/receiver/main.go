// The receiver prints the texts of the example, on localhost:9010, in place of
// passing them on.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/stepup-gateway/caddy-stepup/examples/sms"
)

func main() {
	secret := os.Getenv("SMS_SECRET")
	if len(secret) < 32 {
		log.Fatal("set SMS_SECRET to what the gateway has, of 32 characters or more")
	}
	http.Handle("/sms", &sms.Receiver{
		Secret: []byte(secret),
		Now:    time.Now,
		Deliver: func(to, text string) error {
			_, err := fmt.Printf("\nto %s\n%s\n", to, text)
			return err
		},
	})
	log.Print("waiting for texts on http://localhost:9010/sms")
	log.Fatal(http.ListenAndServe("localhost:9010", nil))
}
