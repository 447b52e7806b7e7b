// Command spa serves the notes of examples/spa on localhost:9000.
package main

import (
	"log"
	"net/http"

	"github.com/stepup-gateway/caddy-stepup/examples/spa"
)

func main() {
	log.Print("notes on http://localhost:9000")
	log.Fatal(http.ListenAndServe("localhost:9000", spa.New()))
}
