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
	"github.com/stepup-gateway/caddy-stepup/caddymodule/stores"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
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
	var asJSON bool
	c := &cobra.Command{
		Use:   "init [flags]",
		Short: "Makes an empty database for a key that you bring",
		Long: `
Makes an empty database for the key that a configuration's 'key' setting names, in
the directory that its store names. It is needed once, before the first start:
a gateway that is given a key expects its database to be there, since starting over
with an empty one would let everybody enroll anew. The gateway must not be running.`,
		Example: `  caddy step-up init --config /etc/caddy/Caddyfile`,
		Args:    cobra.NoArgs,
	}
	c.Flags().StringVarP(&file, "config", "c", "", "The configuration file; default: the Caddyfile here")
	c.Flags().StringVarP(&adapter, "adapter", "a", "", "The name of the adapter for the configuration file")
	c.Flags().BoolVar(&asJSON, "json", false, "Write JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		dir, key, err := initDatabase(c.Context(), file, adapter)
		if err != nil {
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

func initDatabase(ctx context.Context, file, adapter string) (dir string, key seal.Key, err error) {
	if ctx == nil {
		ctx = context.Background()
	}
	text, from, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return "", key, err
	}
	if len(text) == 0 || from == "" {
		return "", key, errors.New("there is no configuration here: name it by --config")
	}
	app, err := settingsOf(text)
	if err != nil {
		return "", key, err
	}
	store := new(stores.Badger)
	if app.Store != nil {
		var engine struct {
			Engine string `json:"engine"`
			stores.Badger
		}
		if err := json.Unmarshal(app.Store, &engine); err != nil {
			return "", key, fmt.Errorf("reading store: %w", err)
		}
		if engine.Engine != "badger" {
			return "", key, fmt.Errorf("a store of kind %q cannot be made here", engine.Engine)
		}
		store = &engine.Badger
	}
	if err := store.Locate(); err != nil {
		return "", key, err
	}
	if app.Key == "" {
		return "", key, errors.New("the configuration names no key: the gateway makes key and database itself at its first start")
	}
	keys, err := database.NewKeySource(app.Key, app.KeyFile, store.Location())
	if err != nil {
		return "", key, err
	}
	return store.Location(), keys.Given, database.Create(ctx, store, keys.Given)
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
