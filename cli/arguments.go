package cli

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// What is typed is checked before anything is tried: commands and arguments that are too many or missing are named,
// with what there is, and the exit code of wrong usage.

// exactly so many arguments, which the command's line of usage names.
func exactly(n int) cobra.PositionalArgs { return between(n, n) }

func between(low, high int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) > high && c.HasSubCommands():
			return unknownCommand(c, args[0])
		case len(args) > high:
			return usage(fmt.Errorf("argument %q is one too many. Usage: %s", args[high], c.UseLine()))
		case len(args) < low:
			return usage(fmt.Errorf("%s is missing. Usage: %s", strings.Fields(c.Use)[1+len(args)], c.UseLine()))
		}
		return nil
	}
}

// parent makes a command that only has others below it.
func (p *Program) parent(use, short string, below ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: exactly(0), RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(below...)
	return c
}

func unknownCommand(c *cobra.Command, word string) error {
	var names []string
	for _, below := range c.Commands() {
		if below.IsAvailableCommand() {
			names = append(names, below.Name())
		}
	}
	slices.Sort(names)
	near := nearest(word, names)
	if near != "" {
		near = "; did you mean " + near + "?"
	}
	return usage(fmt.Errorf("unknown command %q for %q%s\nIt has %s. See %s --help", word, c.CommandPath(), near, strings.Join(names, ", "), c.CommandPath()))
}

var unknownWord = regexp.MustCompile(`^unknown command ("(?:[^"\\]|\\.)*")`)

// checkCommand finds unknown commands before flags are read, so that they are told even beside --help.
func checkCommand(root *cobra.Command, args []string) error {
	c, rest, err := root.Find(args)
	switch {
	case err != nil:
		if m := unknownWord.FindStringSubmatch(err.Error()); m != nil {
			if word, uerr := strconv.Unquote(m[1]); uerr == nil {
				return unknownCommand(root, word)
			}
		}
		return usage(errors.New(strings.TrimSpace(err.Error()) + "\nSee lockstep --help"))
	case c != root && c.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-"):
		return unknownCommand(c, rest[0])
	}
	return nil
}

// help is cobra's command of that name, with an error where there is no such command.
func (p *Program) help() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Tell what a command does, as its --help", Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkCommand(c.Root(), args); err != nil {
				return err
			}
			of, _, err := c.Root().Find(args)
			if err != nil {
				return err
			}
			of.InitDefaultHelpFlag()
			return of.Help()
		},
	}
}
