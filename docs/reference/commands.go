package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/command"
)

// commandsPage draws commands.md.
func commandsPage() string {
	root := &cobra.Command{Use: "step-up", Short: "Looks after the users of the step-up gateway"}
	command.Add(root)
	var b strings.Builder
	b.WriteString(commandsIntro)
	for _, c := range root.Commands() {
		describe(&b, c)
	}
	return b.String()
}

func describe(b *strings.Builder, c *cobra.Command) {
	if !c.IsAvailableCommand() {
		return
	}
	if c.HasSubCommands() {
		for _, sub := range c.Commands() {
			describe(b, sub)
		}
		return
	}
	fmt.Fprintf(b, "\n## `caddy %s`\n\n%s.\n", c.CommandPath(), strings.TrimSuffix(c.Short, "."))
	if long := strings.TrimSpace(c.Long); long != "" {
		fmt.Fprintf(b, "\n```text\n%s\n```\n", long)
	}
	fmt.Fprintf(b, "\n```\ncaddy %s\n```\n", c.UseLine())
	if c.Example != "" {
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", dedent(c.Example))
	}
	var flags []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		kind, usage := pflag.UnquoteUsage(f)
		if kind != "" {
			name += " " + kind
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" {
			usage += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		flags = append(flags, fmt.Sprintf("| `%s` | %s |\n", name, strings.ReplaceAll(usage, "|", "\\|")))
	})
	if len(flags) > 0 {
		b.WriteString("\n| flag | |\n|---|---|\n" + strings.Join(flags, ""))
	}
}

// dedent takes the spaces away that help texts begin lines with.
func dedent(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}

const commandsIntro = "# Commands\n\n" +
	"Drawn from the code by `go run ./docs/reference`; a test compares it.\n\n" +
	"Most commands ask the running gateway through Caddy's admin endpoint, which they find as `caddy reload` does: by `--address`, else in the configuration that `--config` names, else at\n" +
	"`localhost:2019`. That endpoint has no authentication of its own: anyone who reaches it owns the gateway. A command that fails says why and exits with 1.\n"
