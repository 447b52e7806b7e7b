package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/database"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

func keygenCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "keygen [flags]",
		Short: "Prints a fresh key",
		Long: `
Prints a fresh key for a new gateway, for those who keep their keys themselves and
give it by 'key {file./path}' or 'key {env.NAME}'. Follow with 'caddy step-up init'.
Where neither is set up, the gateway makes its own key at the first start.

Keep a copy where the database's backup is not: without the key nothing in the
database can be read, and with both everything can.`,
		Example: `  (umask 077; caddy step-up keygen > /etc/step_up/key)`,
		Args:    cobra.NoArgs,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "Write JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		key := seal.GenerateKey()
		if asJSON {
			return writeJSON(c.OutOrStdout(), map[string]string{"key": key.Text(), "key_id": key.ID().String()})
		}
		_, err := fmt.Fprintln(c.OutOrStdout(), key.Text())
		return err
	}
	return c
}

func initCommand() *cobra.Command {
	var file, adapter string
	var asJSON, sql bool
	c := &cobra.Command{
		Use:   "init [flags]",
		Short: "Makes an empty database for a key that you bring",
		Long: `
Makes an empty database for the key that a configuration's 'key' setting names, in
the directory that its store names. It is needed once, before the first start:
a gateway that is given a key expects its database to be there, since starting over
with an empty one would let everybody enroll anew. The gateway must not be running.

With a store on a database server it is run once for all gateways, and makes the
tables too where the database has some. A role that may not make tables has an
administrator run what --sql prints; init is run afterwards all the same.`,
		Example: `  caddy step-up init --config /etc/caddy/Caddyfile
  caddy step-up init --config /etc/caddy/Caddyfile --sql`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVarP(&file, "config", "c", "", "The configuration file; default: the Caddyfile here")
	c.Flags().StringVarP(&adapter, "adapter", "a", "", "The name of the adapter for the configuration file")
	c.Flags().BoolVar(&asJSON, "json", false, "Write JSON")
	c.Flags().BoolVar(&sql, "sql", false, "Print the statements that make the tables on a database server, and change nothing")
	c.RunE = func(c *cobra.Command, _ []string) error {
		dir, statements, key, err := initDatabase(c.Context(), file, adapter, sql)
		if err != nil {
			return err
		}
		if sql {
			_, err = fmt.Fprint(c.OutOrStdout(), statements)
			return err
		}
		if asJSON {
			return writeJSON(c.OutOrStdout(), map[string]string{"dir": dir, "key_id": key.ID().String()})
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "There is an empty database in %s now, for the key with the id %s.\n", dir, key.ID())
		return err
	}
	return c
}

// initDatabase makes the database of a configuration, or with sql returns the
// statements for it.
func initDatabase(ctx context.Context, file, adapter string, sql bool) (dir, statements string, key seal.Key, err error) {
	if ctx == nil {
		ctx = context.Background()
	}
	app, engine, err := loadStore(file, adapter, "--config")
	if err != nil {
		return "", "", key, err
	}
	if sql {
		server, ok := engine.(interface{ Statements() (string, error) })
		if !ok {
			return "", "", key, errors.New("--sql is for a store whose database takes SQL, such as postgres: the one that is configured needs no statements")
		}
		statements, err = server.Statements()
		return nameOf(engine), statements, key, err
	}
	keys, err := database.NewKeySource(app.Key, app.KeyFile, engine)
	if err != nil {
		return "", "", key, err
	}
	if app.Key == "" {
		return "", "", key, errors.New("the configuration names no key: the gateway makes key and database itself at its first start")
	}
	if err := prepare(ctx, engine); err != nil {
		return "", "", key, err
	}
	return nameOf(engine), "", keys.Given, database.Create(ctx, engine, keys.Given)
}

// loadStore reads a configuration file, which the flag names, and the store in it.
func loadStore(file, adapter, flag string) (app settings, engine store.Engine, err error) {
	text, from, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return app, nil, err
	}
	if len(text) == 0 || from == "" {
		return app, nil, fmt.Errorf("there is no configuration here: name it by %s", flag)
	}
	if app, err = settingsOf(text); err != nil {
		return app, nil, err
	}
	engine, err = engineOf(app.Store)
	return app, engine, err
}

// prepare makes what a database server needs before its first record.
func prepare(ctx context.Context, e store.Engine) error {
	if server, ok := e.(interface{ Prepare(context.Context) error }); ok {
		return server.Prepare(ctx)
	}
	return nil
}

// nameOf returns where a database is, for people.
func nameOf(e store.Engine) string {
	if named, ok := e.(interface{ Name() string }); ok {
		return named.Name()
	}
	return e.Location()
}

// engineOf returns the store of a configuration's JSON.
func engineOf(raw json.RawMessage) (store.Engine, error) {
	name := struct {
		Engine string `json:"engine"`
	}{"badger"}
	settings := map[string]json.RawMessage{}
	if raw != nil {
		if err := errors.Join(json.Unmarshal(raw, &name), json.Unmarshal(raw, &settings)); err != nil {
			return nil, fmt.Errorf("reading store: %w", err)
		}
		delete(settings, "engine")
	}
	info, err := caddy.GetModule("step_up.stores." + name.Engine)
	if err != nil {
		return nil, err
	}
	engine, ok := info.New().(interface {
		store.Engine
		Locate() error
	})
	if !ok {
		return nil, fmt.Errorf("a store of kind %q cannot be made here", name.Engine)
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	if err := caddy.StrictUnmarshalJSON(text, engine); err != nil {
		return nil, fmt.Errorf("reading store: %w", err)
	}
	return engine, engine.Locate()
}

// settings are those of the app that tell where its database is.
type settings struct {
	Store   json.RawMessage `json:"store"`
	Key     string          `json:"key"`
	KeyFile string          `json:"key_file"`
}

// settingsOf reads the app's settings out of a whole configuration, and refuses
// what the app would refuse.
func settingsOf(text []byte) (s settings, err error) {
	var whole struct {
		Apps struct {
			StepUp json.RawMessage `json:"step_up"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(text, &whole); err != nil {
		return s, fmt.Errorf("reading configuration: %w", err)
	}
	if whole.Apps.StepUp == nil {
		return s, nil
	}
	module, err := caddy.GetModule("step_up")
	if err != nil {
		return s, err
	}
	app := module.New()
	if err := caddy.StrictUnmarshalJSON(whole.Apps.StepUp, app); err != nil {
		return s, fmt.Errorf("reading step_up: %w", err)
	}
	if err := app.(caddy.Validator).Validate(); err != nil {
		return s, err
	}
	return s, json.Unmarshal(whole.Apps.StepUp, &s)
}
