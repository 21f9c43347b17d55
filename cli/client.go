package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/lockstep-rsm/lockstep/server/admin"
	"github.com/lockstep-rsm/lockstep/server/etcdapi"
)

const etcdVersion = etcdapi.Version

// clientTLS are the files for connections to servers; none: plaintext.
type clientTLS struct{ ca, cert, key string }

func (c *clientTLS) on() bool { return c.ca != "" || c.cert != "" }

func (c *clientTLS) load() (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.ca != "" {
		pem, err := os.ReadFile(c.ca)
		if err != nil {
			return nil, usage(fmt.Errorf("load authorities: %w", err))
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, usage(fmt.Errorf("load authorities: %s has no certificate", c.ca))
		}
	}
	if c.cert != "" {
		pair, err := tls.LoadX509KeyPair(c.cert, c.key)
		if err != nil {
			return nil, usage(fmt.Errorf("load certificate: %w", err))
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// plain is an endpoint without a scheme.
func plain(endpoint string) string {
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(endpoint, "http://"), "https://"), "/")
}

// headStart is how long a server has before the next is tried beside it: one that takes connections
// and says nothing, being stopped, must not keep a command from those that answer.
const headStart = 200 * time.Millisecond

// dialed is the end of one try to connect.
type dialed struct {
	place int
	conn  *grpc.ClientConn
	err   error
}

// connect gives a connection to the first endpoint, in their order, that answers, or to a later one
// that answers first.
func (p *Program) connect(ctx context.Context) (*grpc.ClientConn, error) {
	return p.connectTo(ctx, p.endpoints)
}

func (p *Program) connectTo(ctx context.Context, endpoints []string) (*grpc.ClientConn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	tries := make(chan dialed, len(endpoints))
	reasons := make([]error, len(endpoints))
	begun, open := 0, 0
	patience := time.NewTimer(headStart)
	defer patience.Stop()
	for open > 0 || begun < len(endpoints) {
		if open == 0 {
			p.try(ctx, endpoints[begun], begun, tries)
			begun, open = begun+1, open+1
			patience.Reset(headStart)
		}
		select {
		case d := <-tries:
			open--
			if d.err == nil {
				cancel()
				for ; open > 0; open-- {
					if late := <-tries; late.err == nil {
						_ = late.conn.Close()
					}
				}
				return d.conn, nil
			}
			reasons[d.place] = d.err
		case <-patience.C:
			if begun < len(endpoints) {
				p.try(ctx, endpoints[begun], begun, tries)
				begun, open = begun+1, open+1
				patience.Reset(headStart)
			}
		}
	}
	return nil, notReached(reasons)
}

// notReached is the error of a command that no server has got.
func notReached(reasons []error) error {
	return &notSent{fmt.Errorf("reach a server: %w. Is one running? Try lockstep up, or give --endpoints", each(reasons))}
}

func (p *Program) try(ctx context.Context, endpoint string, place int, tries chan<- dialed) {
	p.env.Run("connect", func() {
		conn, err := p.dialReady(ctx, endpoint)
		tries <- dialed{place, conn, err}
	})
}

// suspicion is how long a server may take to be ready before it is asked in plain words what it speaks.
const suspicion = 500 * time.Millisecond

// dialReady is dial, and waits until the server has answered.
func (p *Program) dialReady(ctx context.Context, endpoint string) (*grpc.ClientConn, error) {
	conn, err := p.dial(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	conn.Connect()
	soon, done := context.WithTimeout(ctx, suspicion)
	ready := reaches(soon, conn)
	done()
	if ready {
		return conn, nil
	}
	why, known := p.whatSpeaks(ctx, endpoint)
	if !known && reaches(ctx, conn) {
		return conn, nil
	}
	_ = conn.Close()
	return nil, fmt.Errorf("%s %s", plain(endpoint), why)
}

// reaches waits until a connection is ready; false: it is refused, or ctx has ended.
func reaches(ctx context.Context, conn *grpc.ClientConn) bool {
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if state == connectivity.TransientFailure || !conn.WaitForStateChange(ctx, state) {
			return false
		}
	}
	return true
}

// overTLS says whether an endpoint is to be spoken to in TLS.
func (p *Program) overTLS(endpoint string) bool {
	return p.tls.on() || strings.HasPrefix(endpoint, "https://")
}

// whatSpeaks sends a request of HTTP to a server that is not understood, and says by the answer what
// is wrong with it; known: for certain.
func (p *Program) whatSpeaks(ctx context.Context, endpoint string) (why string, known bool) {
	const silent = "takes connections, but does not speak gRPC or does not answer"
	ctx, cancel := context.WithTimeout(ctx, suspicion)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", plain(endpoint))
	if err != nil {
		return silent, false
	}
	defer c.Close()
	if end, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(end)
	}
	if _, err := io.WriteString(c, "GET /version HTTP/1.0\r\n\r\n"); err != nil {
		return silent, false
	}
	answer := make([]byte, 512)
	n, err := io.ReadAtLeast(c, answer, 1)
	text := string(answer[:n])
	switch {
	case n == 0 && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)):
		return "takes connections, but closes them at the first request: that may be a host's port, clients have another", true
	case n == 0:
		return silent, false
	case p.overTLS(endpoint) && strings.HasPrefix(text, "HTTP/") && !strings.Contains(text, "HTTPS"):
		return "does not speak TLS: use http://", true
	case !p.overTLS(endpoint) && (text[0] == 0x15 || text[0] == 0x16 || strings.Contains(text, "HTTPS")): // an alert, a handshake
		return "speaks TLS: use https://, and --client-ca for its certificate", true
	case p.overTLS(endpoint) && strings.Contains(text, "HTTPS"):
		return p.whatRefuses(ctx, endpoint)
	case strings.HasPrefix(text, "HTTP/"):
		return "speaks HTTP, but does not answer gRPC", false
	}
	return silent, false
}

// whatRefuses says why no connection over TLS comes about with a server that speaks it.
func (p *Program) whatRefuses(ctx context.Context, endpoint string) (why string, known bool) {
	o, err := p.tls.load()
	if err != nil {
		return err.Error(), true
	}
	c, err := (&tls.Dialer{Config: o}).DialContext(ctx, "tcp", plain(endpoint))
	if err == nil {
		defer c.Close()
		if end, ok := ctx.Deadline(); ok {
			_ = c.SetDeadline(end)
		}
		_, err = c.Read(make([]byte, 1)) // a certificate that it misses, it says now
	}
	switch {
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return fmt.Sprintf("speaks TLS, with a certificate that is not trusted here: %v. Give --client-ca a file of its authority", err), true
	case err != nil && strings.Contains(err.Error(), "remote error"):
		return fmt.Sprintf("speaks TLS, and refuses this client: %v. Give --client-cert and --client-key what its --ca has signed", err), true
	}
	return "speaks TLS, but does not answer gRPC", false
}

// dial connects at once, so that a server that is not there is known before anything is sent.
func (p *Program) dial(ctx context.Context, endpoint string) (*grpc.ClientConn, error) {
	addr := plain(endpoint)
	probe, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	creds := insecure.NewCredentials()
	if p.overTLS(endpoint) {
		c, err := p.tls.load()
		if err != nil {
			_ = probe.Close()
			return nil, err
		}
		creds = credentials.NewTLS(c)
	}
	first := probe
	conn, err := grpc.NewClient(target(endpoint), grpc.WithTransportCredentials(creds), grpc.WithUnaryInterceptor(keepOutcome),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<31-1)),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			if c := first; c != nil {
				first = nil
				return c, nil
			}
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		}))
	if err != nil {
		_ = probe.Close()
	}
	return conn, err
}

// outcomeError is an error of a write of which the server said what is known.
type outcomeError struct {
	error
	outcome string
}

func (e *outcomeError) Unwrap() error { return e.error }

// GRPCStatus is that of the error within.
func (e *outcomeError) GRPCStatus() *status.Status { return status.Convert(e.error) }

func keepOutcome(ctx context.Context, method string, q, a any, conn *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	var trailer metadata.MD
	err := call(ctx, method, q, a, conn, append(opts, grpc.Trailer(&trailer))...)
	if known := trailer.Get(etcdapi.OutcomeTrailer); err != nil && len(known) > 0 {
		return &outcomeError{err, known[0]}
	}
	return err
}

// ask connects and does f, all within the timeout. A server that says that it cannot, and another may, is
// passed over.
func (p *Program) ask(ctx context.Context, write bool, f func(ctx context.Context, conn *grpc.ClientConn) error) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	endpoints := p.endpoints
	for {
		conn, err := p.connectTo(ctx, endpoints)
		if err != nil {
			return asked(err, write, p.timeout)
		}
		err = f(ctx, conn)
		_ = conn.Close()
		others := slices.DeleteFunc(slices.Clone(endpoints), func(e string) bool { return target(e) == conn.Target() })
		if !elsewhere(err) || len(others) == 0 {
			return asked(err, write, p.timeout)
		}
		endpoints = others
	}
}

// target is what a connection to an endpoint calls it.
func target(endpoint string) string { return "passthrough:///" + plain(endpoint) }

// elsewhere says whether a server has done nothing, for a reason that others may not have: it holds no replica of
// the keys, or is itself the host that is to be removed.
func elsewhere(err error) bool {
	text := status.Convert(err).Message()
	return err != nil && (strings.Contains(text, etcdapi.NoReplica) || strings.Contains(text, "another host has to remove this one"))
}

// hostStatus asks one server how it is.
func (p *Program) hostStatus(ctx context.Context, endpoint string) (*admin.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true}
	scheme := "http://"
	if p.overTLS(endpoint) {
		c, err := p.tls.load()
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig, scheme = c, "https://"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+plain(endpoint)+"/status", nil)
	if err != nil {
		return nil, usage(err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	var at *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("no answer within %v", p.timeout)
	case errors.As(err, &at):
		var unreached *net.OpError
		if !errors.As(err, &unreached) || unreached.Op != "dial" {
			if why, known := p.whatSpeaks(ctx, endpoint); known {
				return nil, errors.New(why)
			}
		}
		return nil, at.Err // without the address, which is known
	case err != nil:
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		if why, known := p.whatSpeaks(ctx, endpoint); known {
			return nil, errors.New(why)
		}
		return nil, fmt.Errorf("ask %s for /status: %s", endpoint, resp.Status)
	}
	out := new(admin.Status)
	if err := json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(out); err != nil {
		return nil, fmt.Errorf("read /status of %s: %w", endpoint, err)
	}
	return out, nil
}

// json prints a value in one line.
func (p *Program) json(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.Out, "%s\n", b)
	return err
}

func prefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return []byte{0} // all that follow
}
