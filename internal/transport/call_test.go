package transport

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
)

func TestCallIsAnswered(t *testing.T) {
	unfounded := func(o *Options) { o.Self = func() wire.Hello { return wire.Hello{} } }
	a, b := open(t, 1, unfounded), open(t, 2, unfounded)
	b.h.call = func(req []byte) []byte { return append([]byte("answer to "), req...) }
	for _, req := range []string{"a question", "", strings.Repeat("x", 1<<20)} {
		got, err := a.Call(t.Context(), b.Addr(), []byte(req))
		if err != nil || string(got) != "answer to "+req {
			t.Errorf("answer of %d bytes: %v", len(got), err)
		}
	}
}

func TestCallFailsInTime(t *testing.T) {
	a, b := open(t, 1, func(o *Options) { o.CallTimeout = 200 * time.Millisecond }), open(t, 2, nil)
	release := make(chan struct{})
	defer close(release)
	b.h.call = func([]byte) []byte { <-release; return nil }
	if _, err := a.Call(t.Context(), b.Addr(), nil); err == nil || !errors.Is(err, env.ErrTimeout) && !strings.Contains(err.Error(), "no sign") {
		t.Errorf("a call nobody answers: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Call(ctx, b.Addr(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call: %v", err)
	}
}

func TestCallSaysWhatIsWrong(t *testing.T) {
	small := func(o *Options) { o.MaxCallBytes = 1000 }
	a, b := open(t, 1, small), open(t, 2, small)
	b.h.call = func(req []byte) []byte {
		if len(req) == 0 {
			return nil
		}
		return make([]byte, 2000)
	}
	l := listenStranger(t)
	_ = l.l.Close()
	for what, c := range map[string]struct {
		addr, want string
		req        int
	}{
		"nobody listens":      {l.addr, "refused", 0},
		"the request is long": {b.Addr(), "at most 976", 2000},
		"the reply is long":   {b.Addr(), "closed without a reply", 1},
		"there is no reply":   {b.Addr(), "closed without a reply", 0},
	} {
		_, err := a.Call(t.Context(), c.addr, make([]byte, c.req))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.addr) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// certificate makes a certificate for 127.0.0.1 and what trusts it.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

func TestTLS(t *testing.T) {
	cfg := certificate(t)
	a, b := pair(t, func(o *Options) { o.TLS = cfg })
	b.h.call = bytes.Clone
	if got, err := a.Call(t.Context(), b.Addr(), []byte("over TLS")); err != nil || string(got) != "over TLS" {
		t.Errorf("call: %q, %v", got, err)
	}
	for i := range uint64(1000) {
		a.Send(2, &wire.Packet{Raft: message(i + 1)})
	}
	b.h.await(t, "packets", func() bool { return len(b.h.rounds) == 1000 })

	// One without a certificate that the others trust, and one without TLS.
	c := open(t, 3, func(o *Options) { o.TLS = certificate(t) })
	if _, err := c.Call(t.Context(), b.Addr(), nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("call with an unknown certificate: %v", err)
	}
	d := open(t, 4, nil)
	if _, err := d.Call(t.Context(), b.Addr(), nil); err == nil {
		t.Error("call without TLS is answered")
	}
	b.h.await(t, "a line", func() bool { return strings.Contains(b.log.String(), "does not look like a TLS handshake") })
}
