// Package server runs one host as a service: it opens the engine with machine/kv, and one listener
// for clients that carries gRPC and HTTP on the same port.
//
// The nouns: a Server is the host with its listener; Options are those of one host, none replicated;
// the protocols stand in folders of their own, etcdapi and admin; Metrics observes the engine.
//
// The promises: it holds no replicated state and puts nothing between a protocol and the group (A6);
// every goroutine it starts has ended when Close returns; plaintext beyond loopback is refused unless
// it is allowed. Listeners, the clock of TLS and goroutines of gRPC and HTTP stand here (A4, A5).
package server
