// Command demo is the one-minute tour: the sample bank, and the gateway in front
// of it with the bank's own Caddyfile, in one process.
//
//	go run ./examples/bank/cmd/demo               both, on localhost:8080
//	go run ./examples/bank/cmd/demo code SECRET   the code of an authenticator app
//
// State is kept in /var/tmp/step-up-demo, or in the directory that STEP_UP_DEMO names.
package main

import (
	"cmp"
	"context"
	"encoding/base32"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/stepup-gateway/caddy-stepup/caddymodule"
	"github.com/stepup-gateway/caddy-stepup/examples/bank"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

const usage = `The sample bank, and the gateway in front of it.

usage:
  demo [-listen ADDR]   serve both until interrupted
  demo code SECRET      print the code that an authenticator app would show now

SECRET is the key that the enrollment page shows under the QR code.
`

// bankAddr is where examples/bank/Caddyfile expects the bank.
const bankAddr = "localhost:9000"

func main() {
	listen := flag.String("listen", "localhost:8080", "address of the gateway")
	flag.Usage = func() { fmt.Fprint(flag.CommandLine.Output(), usage); flag.PrintDefaults() }
	flag.Parse()
	var err error
	switch {
	case flag.NArg() == 2 && flag.Arg(0) == "code":
		err = code(flag.Arg(1))
	case flag.NArg() == 0:
		err = serve(*listen)
	default:
		flag.Usage()
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// code prints what an authenticator app would show, for those who have none at
// hand.
func code(secret string) error {
	secret = strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(secret))
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil || len(raw) == 0 {
		return errors.New("that is not a key: copy the letters and digits under the QR code")
	}
	now := time.Now()
	c, err := totp.Code(totp.Key{Secret: raw, Params: totp.Default()}, now)
	if err != nil {
		return err
	}
	fmt.Printf("%s  (for another %d s)\n", c, 30-now.Unix()%30)
	return nil
}

func serve(listen string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := net.Listen("tcp", bankAddr)
	if err != nil {
		return fmt.Errorf("opening the bank, which the Caddyfile expects on %s: %w", bankAddr, err)
	}
	server := &http.Server{Handler: bank.New(bank.Options{}), ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(l)
	defer server.Close()
	if err := gateway(listen); err != nil {
		return fmt.Errorf("starting the gateway: %w", err)
	}
	defer caddy.Stop()
	fmt.Printf(`
  Old Bank   http://%s        behind the gateway
             http://%s        the bank by itself: it knows no second factor

  Sign in as  alice / wonderland       a customer
              carol / looking-glass    an administrator

  1. Sign in as alice and open a statement: the gateway asks for a second
     factor, and enrolls one first. No authenticator app at hand? In another
     terminal, with the key that the page shows:
         go run ./examples/bank/cmd/demo code "KEY"
  2. Send money: the gateway asks for a code, and the transfer goes through.
     Each one wants a code of its own.
  3. Sign in as carol and open Customers: ten minutes for all of /admin/.
  4. What you enrolled, and your live grants:  http://%s/.step-up/

  State and log are in %s; delete it to begin anew. Ctrl-C ends the demo.

`, listen, bankAddr, listen, stateDir)
	<-ctx.Done()
	return nil
}

// stateDir is what examples/bank/Caddyfile names.
var stateDir = cmp.Or(os.Getenv("STEP_UP_DEMO"), "/var/tmp/step-up-demo")

// gateway runs examples/bank/Caddyfile in this process.
func gateway(listen string) error {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return err
	}
	log, err := filepath.Abs(filepath.Join(stateDir, "log"))
	if err != nil {
		return err
	}
	// The terminal is for the tour; what the gateway logs is in a file.
	head := fmt.Sprintf("{\n\tadmin off\n\tpersist_config off\n\tlog {\n\t\toutput file %q\n\t}\n", log)
	text := strings.Replace(bank.Caddyfile, "{\n", head, 1)
	text = strings.ReplaceAll(text, "http://localhost:8080", "http://"+listen)
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "examples/bank/Caddyfile"})
	for _, w := range warnings {
		fmt.Fprintln(os.Stderr, w)
	}
	if err != nil {
		return err
	}
	return caddy.Load(config, true)
}

// The gateway's modules are linked in by this.
var _ caddy.Module = (*caddymodule.Handler)(nil)
