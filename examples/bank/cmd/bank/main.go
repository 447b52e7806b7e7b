// Command bank serves the sample bank by itself, with no gateway in front.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/stepup-gateway/caddy-stepup/examples/bank"
)

func main() {
	// Only this machine: what can reach the bank past the gateway needs no step-up.
	listen := flag.String("listen", "localhost:9000", "address to serve on")
	flag.Parse()

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatalf("opening the bank: %v", err)
	}
	fmt.Printf("Old Bank is open at http://%s\n", listener.Addr())
	fmt.Println("Sign in as alice/wonderland, bob/builder or carol/looking-glass (administrator).")
	server := &http.Server{
		Handler:           bank.New(bank.Options{}),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	log.Fatal(server.Serve(listener))
}
