package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

func TestSniffTellsHTTP2FromTheRest(t *testing.T) {
	cases := map[string]struct {
		sent, first string
	}{
		"http/2":         {preface + "more", preface},
		"http/1":         {"GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\n"},
		"like http/2":    {"PRI * HTTP/1.1\r\n", "PRI * HTTP/1.1\r\n"},
		"garbage":        {"\x00\x01\x02", "\x00\x01\x02"},
		"end in preface": {preface[:10], preface[:10]},
	}
	for name, c := range cases {
		// One byte at a time, as a slow network may.
		for _, step := range []int{1, 100} {
			client, srv := net.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer client.Close()
				for rest := []byte(c.sent); len(rest) > 0; {
					n, err := client.Write(rest[:min(step, len(rest))])
					if err != nil {
						return
					}
					rest = rest[n:]
				}
			}()
			first, err := sniff(srv)
			p := &prefixed{Conn: srv, first: first}
			all, _ := io.ReadAll(p)
			_ = srv.Close()
			<-done
			if !bytes.HasPrefix([]byte(c.first), first) || err == nil && string(all) != c.sent {
				t.Errorf("%s by %d: first %q, then %q, %v", name, step, first, all, err)
			}
			if (string(first) == preface) != (name == "http/2") {
				t.Errorf("%s by %d is taken for the other", name, step)
			}
		}
	}
}

func TestGarbageOnTheClientPortHarmsNobody(t *testing.T) {
	s := open(t)
	for _, garbage := range []string{"\x00\xff\x13\x37garbage", preface + "garbage that is no frame", "GET /", "\r\n\r\n", preface[:12]} {
		c, err := net.Dial("tcp", s.Endpoint())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, garbage); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	idle, err := net.Dial("tcp", s.Endpoint()) // says nothing at all, until the server goes
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if code, _ := get(t, s, "/version"); code != http.StatusOK {
		t.Fatalf("/version answers %d", code)
	}
}

// certificate makes one for an address that is its own authority.
func certificate(t *testing.T, addr string) (cert, key string) {
	t.Helper()
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(host)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestTLSCarriesBothProtocols(t *testing.T) {
	addr := freeAddrs(t, 1)[0]
	cert, key := certificate(t, addr)
	s := open(t, func(o *Options) { o.Client, o.Cert, o.Key, o.CA = addr, cert, key, cert })
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	known := &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}
	call := func(c *tls.Config) error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		conn, err := grpc.NewClient(s.Endpoint(), grpc.WithTransportCredentials(credentials.NewTLS(c)))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, err = pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
		return err
	}
	if err := call(known); err != nil {
		t.Fatalf("gRPC over TLS: %v", err)
	}
	if err := call(&tls.Config{RootCAs: roots}); status.Code(err) != codes.Unavailable {
		t.Fatalf("a client without certificate got %v", err)
	}
	web := &http.Transport{TLSClientConfig: known, ForceAttemptHTTP2: true, DisableKeepAlives: true} // offers both, as curl does
	resp, err := (&http.Client{Transport: web}).Get("https://" + s.Endpoint() + "/version")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	if status, body := get(t, s, "/version"); status != http.StatusBadRequest || !strings.Contains(body, "use https://") {
		t.Errorf("a client in plaintext is answered %d %q, want what it should do", status, body)
	}
}
