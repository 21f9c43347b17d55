package cli

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/spf13/cobra"
)

// ofServers are the flags of all commands that say which servers are asked, and how.
var ofServers = []string{"endpoints", "timeout", "client-ca", "client-cert", "client-key"}

// useless are the flags of all commands that a command does nothing with: it asks no server, or prints no table.
// Whoever gives one means another, such as serve --endpoint.
func useless(c *cobra.Command) []string {
	for c.HasParent() && c.Parent().HasParent() {
		c = c.Parent()
	}
	switch c.Name() {
	case "serve", "up":
		return append([]string{"output"}, ofServers...)
	case "bench", "bisect", "doctor", "sim", "version":
		return ofServers
	}
	return nil
}

// hideUseless keeps them out of the help.
func hideUseless(c *cobra.Command) {
	for _, name := range useless(c) {
		if f := c.InheritedFlags().Lookup(name); f != nil {
			f.Hidden = true
		}
	}
}

// checkFlags refuses what the flags of all commands cannot be.
func (p *Program) checkFlags(c *cobra.Command) error {
	not := useless(c)
	for _, name := range not {
		f := c.InheritedFlags().Lookup(name)
		if f == nil || !f.Changed {
			continue
		}
		hint := ""
		if one := c.Flags().Lookup("endpoint"); name == "endpoints" && one != nil {
			hint = "; did you mean --endpoint?"
		}
		return usage(fmt.Errorf("--%s says nothing to %s%s\nSee %s --help", name, c.CommandPath(), hint, c.CommandPath()))
	}
	if p.output != "table" && p.output != "json" {
		return usage(fmt.Errorf("unknown output %q. It is table or json", p.output))
	}
	if slices.Contains(not, "endpoints") {
		return nil
	}
	if len(p.endpoints) == 0 {
		return usage(errors.New("--endpoints is empty. It takes host:port of servers, with commas between"))
	}
	for _, e := range p.endpoints {
		if _, port, err := net.SplitHostPort(plain(e)); err != nil || port == "" {
			return usage(fmt.Errorf("--endpoints has %q. It takes host:port, with commas between", e))
		}
	}
	if p.timeout <= 0 {
		return usage(fmt.Errorf("--timeout is %v. It is above 0, such as 5s", p.timeout))
	}
	if p.tls.on() {
		_, err := p.tls.load()
		return err
	}
	return nil
}
