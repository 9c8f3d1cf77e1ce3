package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/calcdc/calcdc/internal/config"
)

// newRoot makes the tree of commands. started becomes true once a command line has been understood.
func newRoot() (root *cobra.Command, started *bool) {
	started = new(bool)
	root = &cobra.Command{
		Use:   "calcdc",
		Short: "Make Kafka mirror people's calendars",
		Long: "calcdc follows calendars (CalDAV, Google) and publishes every change of them to Kafka, exactly once: a topic read\n" +
			"with isolation.level=read_committed holds, folded, what the calendars hold.",
		Example: "  calcdc demo                              everything embedded: see what it does\n" +
			"  calcdc check --config calcdc.yaml        is the configuration right, is everything within reach?\n" +
			"  calcdc run --config calcdc.yaml          follow the calendars until stopped\n" +
			"  calcdc tail --config calcdc.yaml         watch the changes in Kafka\n" +
			"  calcdc verify --config calcdc.yaml       do the topics hold what the calendars hold?",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		PersistentPreRun:  func(*cobra.Command, []string) { *started = true },
		Version:           thisBuild().Version,
		Args:              cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return usageError("name a command")
		},
	}
	root.SetVersionTemplate("calcdc {{.Version}}\n")
	root.AddCommand(newRun(), newDemo(), newCheck(), newDiscover(), newTail(), newOffsets(), newSnapshot(), newDeletes(), newVerify(), newConfig(), newVersion())
	return root, started
}

// configFlag adds --config and returns the function that loads it.
func configFlag(cmd *cobra.Command) func() (*config.Config, error) {
	path := cmd.Flags().StringP("config", "c", "calcdc.yaml", "the configuration `FILE`")
	return func() (*config.Config, error) { return config.Load(*path) }
}

func jsonFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("json", false, "print JSON, for programs")
}

// progress tells a person at a terminal what takes its time.
func progress(cmd *cobra.Command, text string) {
	if f, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		_, _ = fmt.Fprintln(f, text)
	}
}

// printJSON prints v indented, with <, > and & as they are.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func newConfig() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "About the configuration file", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return usageError("name a command: calcdc config schema") }}
	cmd.AddCommand(&cobra.Command{
		Use:   "schema",
		Short: "Print the configuration's JSON Schema",
		Long: "Print the configuration's JSON Schema: every key with its description and default. Editors that know the\n" +
			"YAML language server complete and check the file with it.",
		Example: "  calcdc config schema > calcdc.schema.json\n\n" +
			"  # then, as the first line of calcdc.yaml:\n" +
			"  # yaml-language-server: $schema=calcdc.schema.json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text)
			return err
		},
	})
	return cmd
}
