package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/adminapi"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/doctor"
)

func checkCommand() *cobra.Command {
	var r remote
	var in adminapi.CheckRequest
	c := &cobra.Command{
		Use:   "check [url...] [flags]",
		Short: "Checks a configuration before users do",
		Long: `
Checks a configuration for what its first user would otherwise find out, and lists what
an operator wants to know: the paths of database and key and whether they exist, how
requests come to each site (scheme, hosts, trusted proxies), which rule would ask for a
proof at each of the URLs, rules that no request falls under, whether the user is
identified before step_up runs, what listens without TLS, and whether the servers that
the gateway asks can be reached. Of a store that several gateways use it lists the
servers with version, TLS and role, whether init was run, who owns the tables,
whether the key is the database's, the generation, and the difference of the clocks.

With --config it checks that file, which need not run. Without it, it checks the
configuration that runs, from inside of Caddy: with the user, the environment and the
directory that Caddy has. Run it as that user where you give a file. No code is sent,
no database is opened, and nothing is changed.

Each finding has a severity (error, warning, note), a code that stays the same between
versions, the place in the Caddyfile or in the JSON, and what to do. The exit status is
0 if there are no findings or only notes, 1 if there are warnings, 2 if there are
errors or the check itself failed.`,
		Example: `  caddy step-up check --config /etc/caddy/Caddyfile
  caddy step-up check https://intranet.example.com/admin/users
  caddy step-up check --config caddy.json --offline --json`,
	}
	r.flags(c)
	c.Flags().Lookup("config").Usage = "The configuration file to check; default: the configuration that runs"
	c.Flags().BoolVar(&in.Offline, "offline", false, "Ask no other server, such as the issuer of tokens")
	c.RunE = func(c *cobra.Command, urls []string) error {
		in.URLs = urls
		report, err := r.check(c.Context(), in)
		if err != nil {
			return failed(c, err)
		}
		if err := r.show(c, report, func(w io.Writer) { writeReport(w, report) }); err != nil {
			return err
		}
		return status(c, map[doctor.Severity]int{doctor.Warning: 1, doctor.Error: 2}[report.Worst()])
	}
	return c
}

// check checks the file that is configured, or else the configuration that runs.
func (r *remote) check(ctx context.Context, in adminapi.CheckRequest) (report doctor.Report, err error) {
	if r.config != "" {
		raw, file, adapter, err := caddycmd.LoadConfig(r.config, r.adapter)
		if err != nil {
			return report, err
		}
		in.Config = raw
		if adapter == "caddyfile" {
			in.Lines = linesOf(file)
		}
		if ctx == nil {
			ctx = context.Background()
		}
		return adminapi.Check(ctx, in), nil
	}
	address, err := caddycmd.DetermineAdminAPIAddress(r.address, nil, "", "")
	if err != nil {
		return report, fmt.Errorf("finding the admin endpoint: %w", err)
	}
	resp, err := caddycmd.AdminAPIRequest(address, http.MethodGet, "/config/", nil, nil)
	if err != nil {
		return report, fmt.Errorf("asking Caddy for its configuration: %w; if it does not run, name the file by --config", err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(&in.Config); err != nil {
		return report, fmt.Errorf("reading Caddy's configuration: %w", err)
	}
	return report, r.call("check", in, &report)
}

// linesOf are where the words stand that begin the lines of a Caddyfile.
func linesOf(file string) map[string]string {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	tokens, err := caddyfile.Tokenize(text, file)
	if err != nil {
		return nil
	}
	lines := map[string]string{}
	for i, t := range tokens {
		if i > 0 && tokens[i-1].Line == t.Line || lines[t.Text] != "" {
			continue
		}
		lines[t.Text] = fmt.Sprintf("%s:%d", file, t.Line)
	}
	return lines
}

// status ends a command with an exit status, and says nothing more.
func status(c *cobra.Command, code int) error {
	c.SilenceErrors = true
	switch code {
	case 0:
		return nil
	case 1:
		return errors.New("there are warnings")
	}
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return code, nil })(c, nil)
}

// failed ends a command that could not do its work with the status of errors.
func failed(c *cobra.Command, err error) error {
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return 2, err })(c, nil)
}

func writeReport(w io.Writer, r doctor.Report) {
	counts := map[doctor.Severity]int{}
	for _, f := range r.Findings {
		counts[f.Severity]++
		at := ""
		if f.At != "" {
			at = f.At + ": "
		}
		fmt.Fprintf(w, "%s: %s%s [%s]\n", f.Severity, at, plain(f.Problem), f.Code)
		if f.Advice != "" {
			fmt.Fprintf(w, "    %s.\n", strings.TrimSuffix(f.Advice, "."))
		}
	}
	if len(r.Findings) > 0 {
		fmt.Fprintln(w)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(r.Files) > 0 {
		fmt.Fprintln(t, "FILE\tPATH\tMODE\tOWNER")
		for _, f := range r.Files {
			mode := "does not exist"
			if f.Exists {
				mode = f.Mode
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", f.What, plain(f.Path), mode, dash(f.Owner))
		}
		t.Flush()
		fmt.Fprintln(w)
	}
	if r.Store != nil {
		writeStore(w, r)
	}
	for _, s := range r.Sites {
		writeSite(w, s)
	}
	if len(r.Requests) > 0 {
		fmt.Fprintln(t, "METHOD\tURL\tOUTCOME\tRULE")
		for _, q := range r.Requests {
			outcome, rule := q.Outcome, "-"
			if q.Problem != "" {
				outcome = q.Problem
			}
			if q.Action != "" {
				rule = q.Action
				for _, reading := range q.Readings {
					if reading.Action == q.Action {
						rule = fmt.Sprintf("%s (rule %d)", q.Action, reading.Rule)
						break
					}
				}
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", q.Method, plain(q.URL), outcome, rule)
		}
		t.Flush()
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%d errors, %d warnings, %d notes.\n", counts[doctor.Error], counts[doctor.Warning], counts[doctor.Note])
}

func writeStore(w io.Writer, r doctor.Report) {
	found := r.Store
	fmt.Fprintf(w, "Store %s", plain(found.Name))
	if found.Schema > 0 {
		fmt.Fprintf(w, ", made for version %d, generation %d", found.Schema, found.Generation)
	}
	if found.Owner != "" {
		fmt.Fprintf(w, ", tables of %s", plain(found.Owner))
	}
	if found.Key != "" {
		fmt.Fprintf(w, ", for the configured key %s", found.Key)
	}
	if found.ClockSeconds != 0 {
		fmt.Fprintf(w, ", its clock %+.3f s from the one here", found.ClockSeconds)
	}
	fmt.Fprint(w, ".\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SERVER\tROLE\tVERSION\tTLS\t")
	for _, s := range found.Servers {
		if s.Problem != "" {
			fmt.Fprintf(t, "%s\tcannot be asked\t\t\t%s\n", plain(s.Name), plain(s.Problem))
			continue
		}
		encrypted := s.TLS
		if encrypted == "" {
			encrypted = "none"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", plain(s.Name), s.Role, plain(s.Version), encrypted, s.Note)
	}
	t.Flush()
	fmt.Fprintln(w)
}

func writeSite(w io.Writer, s doctor.Site) {
	hosts := strings.Join(s.Hosts, ", ")
	if hosts == "" {
		hosts = "every host"
	}
	fmt.Fprintf(w, "Site %s, on %s (%s), tenant %s, identity %s.\n", hosts, strings.Join(s.Listen, ", "), s.At, s.Tenant, dash(s.Identity))
	scheme := map[string]string{"": "not known", "http": "http", "https": "https"}[s.Scheme]
	if len(s.TrustedProxies) == 0 {
		fmt.Fprintf(w, "  Requests: scheme %s, host and client address as the connection has them; X-Forwarded-* of anybody is not believed.\n", scheme)
	} else {
		fmt.Fprintf(w, "  Requests: scheme %s, unless one of %s says otherwise by X-Forwarded-Proto; the client address is theirs to say.\n", scheme, strings.Join(s.TrustedProxies, ", "))
	}
	for i, rule := range s.Rules {
		fmt.Fprintf(w, "  Rule %d: %s (%s), %s.\n", i+1, rule.Action, rule.At, rule.Mode)
	}
	fmt.Fprintln(w)
}
