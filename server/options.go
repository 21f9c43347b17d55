package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// Options of one Server. Dir, Client and Host.Addr are required; zero means the default otherwise.
type Options struct {
	Client    string // host:port to listen on for clients
	Endpoint  string // host:port under which clients reach it. Zero: Client
	Name      string // of the host in MemberList. Zero: its number
	Cert, Key string // files of the certificate for clients; both or none
	CA        string // file of the authorities whose clients are let in. Zero: all clients are
	Insecure  bool   // allows plaintext beyond loopback, to clients and between hosts

	// Host are the engine's: Dir, Addr, Listen, Founders and limits. Machines, Observer, Logger and
	// Insecure are set by the server.
	Host lockstep.Options

	WatchProgress time.Duration // between progress notifications. Zero: 10 min
	Logger        *slog.Logger  // nil: slog.Default()
	Version       string        // of the program, for /status
}

// ErrPlaintext refuses a plaintext listener that other machines can reach.
var ErrPlaintext = errors.New("plaintext is for loopback only")

// InUseError says that the port for clients is taken.
type InUseError struct {
	Addr string
	Err  error
}

// Error implements error.
func (e *InUseError) Error() string { return "listen on " + e.Addr + ": it is in use" }

// Unwrap gives the system's error.
func (e *InUseError) Unwrap() error { return e.Err }

// check fills defaults and refuses what cannot be.
func (o *Options) check() error {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Endpoint == "" {
		o.Endpoint = o.Client
	}
	if (o.Cert == "") != (o.Key == "") {
		return fmt.Errorf("%w: a certificate for clients needs its key, and the key its certificate", lockstep.ErrOptions)
	}
	if o.CA != "" && o.Cert == "" {
		return fmt.Errorf("%w: authorities of clients need a certificate of the server", lockstep.ErrOptions)
	}
	if o.WatchProgress < 0 {
		return fmt.Errorf("%w: WatchProgress is %v: it is above 0", lockstep.ErrOptions, o.WatchProgress)
	}
	host, _, err := net.SplitHostPort(o.Client)
	if err != nil {
		return fmt.Errorf("%w: address for clients %q is not host:port", lockstep.ErrOptions, o.Client)
	}
	if o.Cert == "" && !o.Insecure && !loopback(host) {
		return fmt.Errorf("%w: clients at %s could be overheard. Give a certificate and its key, or allow it with insecure", ErrPlaintext, o.Client)
	}
	return nil
}

// loopback reports whether only this machine reaches a host.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// clientTLS is nil for plaintext.
func (o *Options) clientTLS() (*tls.Config, error) {
	if o.Cert == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(o.Cert, o.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: load certificate for clients: %w", lockstep.ErrOptions, err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("%w: load authorities of clients: %w", lockstep.ErrOptions, err)
		}
		c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !c.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: load authorities of clients: %s has no certificate", lockstep.ErrOptions, o.CA)
		}
	}
	return c, nil
}
