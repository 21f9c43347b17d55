package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/sim"
)

// Program is the command line. Version, Out, Err and Getenv are required; it is used once.
type Program struct {
	Version  string
	Out, Err io.Writer
	Getenv   func(string) string

	// Environ lists the environment as os.Environ does, in which misspelt options are looked for; nil: they are not.
	Environ func() []string

	// Loads are what lockstep sim plays, by name; nil: this build has no simulator.
	Loads map[string]sim.Options

	env       env.Env
	endpoints []string
	output    string
	timeout   time.Duration
	tls       clientTLS
}

const about = `lockstep runs a replicated, fault-tolerant store that speaks the etcd v3 API.

  Try it     up       three replicas on this machine, ready in a second
  Run it     serve    one replica, from flags, environment or YAML     member  list, add, remove, replace, promote, priority
             group    halt, resume, skip a command                     bisect  where two replicas differ
  Ask it     status   who leads, how far, what is wrong, what to do    doctor  this machine's disk, clock and limits
             get put del watch  the keys
  Break it   sim      run, replay, shrink a seed                       bench   this machine, with the floor beside it

Exit: 0 done · 1 failed · 2 wrong usage · 3 not done, safe to retry · 4 unknown, look before you retry · 5 answered "no" · 130 interrupted`

// defaultEndpoints are those of lockstep up.
const defaultEndpoints = "127.0.0.1:2379,127.0.0.1:22379,127.0.0.1:32379"

// Run executes a command line and returns the exit code. It takes SIGINT and SIGTERM meanwhile.
func (p *Program) Run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if p.env == nil {
		p.env = env.OS()
	}
	root := p.root()
	root.SetArgs(args)
	root.SetOut(p.Out)
	root.SetErr(p.Err)
	err := checkCommand(root, args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if text := errorText(err); text != "" {
		fmt.Fprintln(p.Err, "error: "+text)
	}
	return exitCode(err)
}

var flagName = regexp.MustCompile(`(?m)^ +(?:-., )?--([a-z-]+)`)

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (p *Program) root() *cobra.Command {
	root := &cobra.Command{
		Use: "lockstep", Long: about, SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error { return p.checkFlags(c) },
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	help := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		hideUseless(c)
		help(c, args)
	})
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		text := err.Error()
		if word, unknown := strings.CutPrefix(text, "unknown flag: --"); unknown {
			var names []string
			hideUseless(c)
			for _, m := range flagName.FindAllStringSubmatch(c.Flags().FlagUsages(), -1) {
				names = append(names, m[1])
			}
			if near := nearest(word, names); near != "" {
				text += "; did you mean --" + near + "?"
			}
		}
		return usage(fmt.Errorf("%s\nSee %s --help", text, c.CommandPath()))
	})
	f := root.PersistentFlags()
	endpoints := p.Getenv("LOCKSTEP_ENDPOINTS")
	if endpoints == "" {
		endpoints = defaultEndpoints
	}
	f.StringSliceVar(&p.endpoints, "endpoints", strings.Split(endpoints, ","), "host:port of servers to ask, in this order (LOCKSTEP_ENDPOINTS)")
	f.StringVarP(&p.output, "output", "o", "table", "table or json")
	f.DurationVar(&p.timeout, "timeout", 5*time.Second, "of one command, however many servers it asks")
	f.StringVar(&p.tls.ca, "client-ca", "", "file of authorities to trust; makes the connection TLS")
	f.StringVar(&p.tls.cert, "client-cert", "", "file of the certificate to show")
	f.StringVar(&p.tls.key, "client-key", "", "file of its key")
	root.AddCommand(p.up(), p.serve(), p.statusCommand(), p.get(), p.put(), p.del(), p.watch(),
		p.member(), p.group(), p.bisect(), p.doctor(), p.simCommand(), p.bench(), p.versionCommand())
	root.SetHelpCommand(p.help())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	return root
}

func (p *Program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: exactly(0),
		RunE: func(*cobra.Command, []string) error {
			if p.output == "json" {
				return p.json(map[string]string{"lockstep": p.Version, "etcd_api": etcdVersion})
			}
			fmt.Fprintf(p.Out, "lockstep %s (etcd API %s)\n", p.Version, etcdVersion)
			return nil
		},
	}
}
