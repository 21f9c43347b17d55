// Package sim runs the production engine, with a machine of yours, on simulated hosts: their disks,
// clocks and network are drawn from one seed, and fail as the seed says.
//
// Run plays many seeds for a test, each twice; Play plays one. A seed begins a cluster, lets Clients
// call it while faults come and go, heals everything, and waits until all replicas agree. A Script
// puts faults of your own beside the drawn ones, or in their place.
//
// Always checked (package sim/check): one leader per term, logs that match, commits that are durable
// on a quorum, nothing saved is lost, equal states at marks; every answer equals a sequential replay
// of the log on a fresh machine, and log order respects real time, so that every history is
// linearizable; nothing acknowledged is lost, no command runs twice; after healing all converge and
// serve. Both runs of a seed give one hash over all events and bytes.
package sim
