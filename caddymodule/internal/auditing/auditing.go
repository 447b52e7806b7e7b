// Package auditing has the audit log's own outputs open, one chain for all
// configurations of the process that use it: a reload provisions the new one while the
// old one still writes.
//
// [Acquire] refers to what the settings name without opening it, since `caddy validate`
// provisions too, and [Outputs.Release] gives it up. A nil *Outputs has none.
package auditing

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/trust"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/audit"
	"github.com/stepup-gateway/caddy-stepup/internal/clock"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// auditLogs and syslogs hold what is open, by its settings: a reload provisions the new
// configuration while the old one still runs, and both write to one chain.
var (
	auditLogs = caddy.NewUsagePool() // of *sharedLog, by file
	syslogs   = caddy.NewUsagePool() // of *sharedSyslog, by settings
)

// auditDoor lets the last reference to a log close it before a new one opens it again.
var auditDoor sync.Mutex

type sharedLog struct {
	*audit.Log
	head, node string
}

// Destruct closes the log.
func (s *sharedLog) Destruct() error { return s.Close() }

type sharedSyslog struct{ *audit.Syslog }

// Destruct closes the connection.
func (s sharedSyslog) Destruct() error { return s.Close() }

// Outputs are those of one configuration.
type Outputs struct {
	file     string
	log      *sharedLog
	syslogs  map[string]*audit.Syslog // by key in the pool
	names    []string                 // of the syslogs, in their order
	required bool
}

// Acquire refers to what the settings name, without opening it.
func Acquire(said *config.Audit, logger *zap.Logger) (*Outputs, error) {
	if said == nil {
		return nil, nil
	}
	auditDoor.Lock()
	defer auditDoor.Unlock()
	o := &Outputs{syslogs: make(map[string]*audit.Syslog), required: said.Required}
	if err := o.acquire(said, logger); err != nil {
		return nil, errors.Join(err, o.giveUp())
	}
	return o, nil
}

func (o *Outputs) acquire(said *config.Audit, logger *zap.Logger) (err error) {
	repl := caddy.NewReplacer()
	var head, node string
	for _, t := range []struct {
		into        *string
		said, usual string
	}{
		{&o.file, said.File, ""},
		{&head, said.Head, filepath.Join(caddy.AppDataDir(), "step_up_audit.head")},
		{&node, said.Node, hostname()},
	} {
		if *t.into, err = repl.ReplaceOrErr(t.said, true, true); err != nil {
			return err
		}
		if *t.into == "" {
			*t.into = t.usual
		}
	}
	for _, path := range []*string{&o.file, &head} {
		if *path, err = filepath.Abs(*path); err != nil {
			return fmt.Errorf("finding the audit log: %w", err)
		}
	}
	if o.file == head {
		return errors.New("head and file are the same file: give each its own")
	}
	if err := o.acquireLog(head, node, logger); err != nil {
		return err
	}
	for _, s := range said.Syslog {
		if err := o.attach(s, repl, logger); err != nil {
			return err
		}
	}
	return nil
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

func (o *Outputs) acquireLog(head, node string, logger *zap.Logger) error {
	value, _, err := auditLogs.LoadOrNew(o.file, func() (caddy.Destructor, error) {
		log := audit.New(audit.Options{File: o.file, Head: head, Node: node, Now: clock.Now, Problem: problemOf(logger, "audit log", o.file)})
		return &sharedLog{log, head, node}, nil
	})
	if err != nil {
		return err
	}
	o.log = value.(*sharedLog)
	if o.log.head != head || o.log.node != node {
		return fmt.Errorf("the audit log %s is in use with another head or node: write the same as before, or stop Caddy and start it with the new one", o.file)
	}
	return nil
}

func (o *Outputs) attach(s config.Syslog, repl *caddy.Replacer, logger *zap.Logger) error {
	options := audit.SyslogOptions{Network: s.Network}
	var err error
	if options.Address, err = repl.ReplaceOrErr(s.Address, true, true); err != nil {
		return err
	}
	options.Problem = problemOf(logger, "syslog", options.Address)
	if s.Network == "tls" {
		options.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		if s.CA != "" {
			if options.TLS.RootCAs, err = trust.Read(repl.ReplaceKnown(s.CA, "")); err != nil {
				return fmt.Errorf("ca: reading %s: %w", s.CA, err)
			}
		}
	}
	key, err := json.Marshal(s)
	if err != nil {
		return err
	}
	name := o.file + "\x00" + options.Address + "\x00" + string(key)
	if o.syslogs[name] != nil {
		return fmt.Errorf("syslog %s %s is written twice: keep one of them", s.Network, s.Address)
	}
	value, _, err := syslogs.LoadOrNew(name, func() (caddy.Destructor, error) {
		return sharedSyslog{audit.NewSyslog(options)}, nil
	})
	if err != nil {
		return err
	}
	o.syslogs[name], o.names = value.(sharedSyslog).Syslog, append(o.names, name)
	o.log.Attach(o.syslogs[name])
	return nil
}

// Release gives up what was acquired. The last reference closes it.
func (o *Outputs) Release() error {
	if o == nil {
		return nil
	}
	auditDoor.Lock()
	defer auditDoor.Unlock()
	return o.giveUp()
}

func (o *Outputs) giveUp() error {
	var errs []error
	if o.log != nil {
		for _, s := range o.syslogs {
			o.log.Detach(s)
		}
		_, err := auditLogs.Delete(o.file)
		errs = append(errs, err)
	}
	for _, name := range o.names {
		_, err := syslogs.Delete(name)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// problemOf logs when an output begins to fail, and when it works again.
func problemOf(logger *zap.Logger, what, where string) func(error) {
	return func(err error) {
		if err == nil {
			logger.Info("the "+what+" works again", zap.String("where", where))
			return
		}
		logger.Error("the "+what+" fails: what is decided meanwhile stands in Caddy's log, and waits to be written", zap.String("where", where), zap.Error(err))
	}
}

// errAuditFails is the refusal where the log is required.
var errAuditFails = fmt.Errorf("%w: the audit log cannot be written, and the configuration says that it is required", store.ErrUnavailable)

// Open opens the log. Lines that are written before it was opened open it too.
func (o *Outputs) Open() error {
	if o == nil {
		return nil
	}
	return o.log.Open()
}

// Write appends an entry; false where there is no chain, or it was lost.
func (o *Outputs) Write(e audit.Entry) (audit.Head, bool) {
	if o == nil {
		return audit.Head{}, false
	}
	return o.log.Write(e)
}

// Guard returns what opens the database, or says why nothing that is protected is
// served: the log is required and cannot be written.
func (o *Outputs) Guard(get func(context.Context) (*records.DB, error)) func(context.Context) (*records.DB, error) {
	if o == nil || !o.required {
		return get
	}
	return func(ctx context.Context) (*records.DB, error) {
		if o.log.Fails() && !store.IsTaking(ctx) {
			return nil, errAuditFails
		}
		return get(ctx)
	}
}
