// Package etcdapi serves the etcd v3 API over one group that runs machine/kv: KV, Watch, Cluster,
// Maintenance, the health and the reflection service, and the JSON gateway under /v3/. Clients of
// etcd use it unchanged; what is not built yet answers Unimplemented.
//
// The nouns: a Server is all services of one host; a Group is what it asks, in practice a
// *lockstep.Group; a Member is a host in etcd's words; the hub reads each new revision once and fans
// it out to watchers; a watcher is one subscription, several to a stream.
//
// The promises: a request is checked before it is proposed, and refused with the code and the exact
// text that etcd uses; every response carries the header; a read is linearizable unless it asks to be
// serializable; a watcher sees every event of its span exactly once, in order, or is told that they
// were compacted. Memory per watcher is fixed, whatever it has not read yet (A9): what the hub no
// longer keeps is read again from a View. No replicated state lives here (A6).
package etcdapi
