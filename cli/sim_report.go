package cli

import (
	"fmt"

	"github.com/lockstep-rsm/lockstep/sim"
)

// What --output json prints of simulations; fields are only added.
type (
	seedJSON struct {
		Seed    uint64  `json:"seed"`
		Hash    string  `json:"hash"`
		Events  uint64  `json:"events"`
		Seconds float64 `json:"simulated_seconds"`
		Hosts   int     `json:"hosts"`
		Calls   int     `json:"calls"`
		Broken  string  `json:"broken,omitempty"`

		Unexplained string `json:"unexplained,omitempty"`
	}
	countJSON struct {
		Name  string `json:"name"`
		Count uint64 `json:"count"`
		Seeds uint64 `json:"seeds,omitempty"`
	}
	pairJSON struct {
		A     string `json:"a"`
		B     string `json:"b"`
		Seeds uint64 `json:"seeds"`
	}
	shrunkJSON struct {
		Broken    string   `json:"broken"`
		Hints     []string `json:"hints"`
		From      int      `json:"from"`
		Decisions []string `json:"decisions"`
		Seconds   float64  `json:"seconds"`
		Recording string   `json:"recording"`
	}
	campaignJSON struct {
		First     uint64      `json:"first"`
		Asked     int         `json:"asked"`
		Played    int         `json:"played"`
		Events    uint64      `json:"events"`
		Calls     int         `json:"calls"`
		Judged    int         `json:"judged"`
		Unknown   int         `json:"unknown"`
		Simulated float64     `json:"simulated_seconds"`
		Seconds   float64     `json:"seconds"`
		Rate      float64     `json:"seeds_per_second"`
		Speed     float64     `json:"simulated_per_processor_second"`
		Faults    []countJSON `json:"faults"`
		Pairs     []pairJSON  `json:"pairs"`
		Probes    []countJSON `json:"probes"`
		Never     []string    `json:"never"`
		Seeds     []seedJSON  `json:"seeds"`
		Shrunk    *shrunkJSON `json:"shrunk"`
	}
)

func seedOf(r *sim.Result, broken string) seedJSON {
	return seedJSON{
		Seed: r.Seed, Hash: fmt.Sprintf("%016x", r.Hash), Events: r.Events, Seconds: r.Time.Seconds(), Hosts: r.Hosts,
		Calls: r.Calls, Broken: broken,
	}
}

func reportJSON(rep *sim.Report, seeds []seedJSON, failure *sim.Failure) campaignJSON {
	out := campaignJSON{
		First: rep.First, Asked: rep.Asked, Played: rep.Seeds, Events: rep.Events, Calls: rep.Calls,
		Judged: rep.Judged, Unknown: rep.Unknown,
		Simulated: rep.Time.Seconds(), Seconds: rep.Took.Seconds(), Rate: float64(rep.Seeds) / rep.Took.Seconds(), Speed: rep.Speed(),
		Faults: []countJSON{}, Pairs: []pairJSON{}, Probes: []countJSON{}, Never: append([]string{}, rep.Never...), Seeds: seeds,
	}
	for i, c := range rep.Faults {
		out.Faults = append(out.Faults, countJSON{c.Name, c.N, rep.Drawn[i].N})
	}
	for _, c := range rep.Pairs {
		out.Pairs = append(out.Pairs, pairJSON{c.A, c.B, c.Seeds})
	}
	for i, c := range rep.Probes {
		out.Probes = append(out.Probes, countJSON{c.Name, c.N, rep.With[i].N})
	}
	if failure != nil {
		out.Shrunk = shrunkOf(failure)
	}
	return out
}

func shrunkOf(f *sim.Failure) *shrunkJSON {
	out := &shrunkJSON{Broken: f.Err.Error(), Hints: append([]string{}, f.Hints...), Decisions: []string{}, Recording: f.File}
	if s := f.Shrunk; s != nil {
		out.From, out.Seconds = s.From, s.Took.Seconds()
		for _, d := range s.Recording.Decisions {
			out.Decisions = append(out.Decisions, d.String())
		}
	}
	return out
}
