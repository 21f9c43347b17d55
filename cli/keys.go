package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
)

// keyJSON is a key in JSON. Key and value are text; where they are not UTF-8, which JSON cannot hold, the bytes stand
// beside it.
type keyJSON struct {
	Key            string `json:"key"`
	Value          string `json:"value"`
	KeyBytes       []byte `json:"key_base64,omitempty"`
	ValueBytes     []byte `json:"value_base64,omitempty"`
	CreateRevision int64  `json:"create_revision"`
	ModRevision    int64  `json:"mod_revision"`
	Version        int64  `json:"version"`
	Lease          int64  `json:"lease,omitempty"`
}

func keyOf(k *mvccpb.KeyValue) *keyJSON {
	if k == nil {
		return nil
	}
	out := &keyJSON{
		Key: string(k.Key), Value: string(k.Value),
		CreateRevision: k.CreateRevision, ModRevision: k.ModRevision, Version: k.Version, Lease: k.Lease,
	}
	if !utf8.Valid(k.Key) {
		out.KeyBytes = k.Key
	}
	if !utf8.Valid(k.Value) {
		out.ValueBytes = k.Value
	}
	return out
}

func (p *Program) get() *cobra.Command {
	var s span
	var keysOnly, local bool
	c := &cobra.Command{
		Use: "get KEY [END]", Short: "Print a key, or the keys from KEY up to END", Args: between(1, 2),
		Long: "Print the value of a key; of several, key and value. A key that is not there is answered \"no\": exit code 5.",
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		q := &pb.RangeRequest{Key: []byte(args[0]), Revision: s.revision, Limit: s.limit, KeysOnly: keysOnly, Serializable: local}
		q.RangeEnd = s.end(args)
		if len(q.Key) == 0 && s.prefix {
			q.Key = []byte{0}
		}
		var got *pb.RangeResponse
		err := p.ask(c.Context(), false, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
			got, err = pb.NewKVClient(conn).Range(ctx, q)
			return err
		})
		if err != nil {
			return err
		}
		if err := p.printKeys(got, q); err != nil {
			return err
		}
		if len(got.Kvs) == 0 && len(q.RangeEnd) == 0 {
			return &codedError{code: exitNo}
		}
		return nil
	}
	s.flag(c)
	f := c.Flags()
	f.BoolVar(&keysOnly, "keys-only", false, "no values")
	f.BoolVar(&local, "serializable", false, "from one server, which may be behind")
	f.Int64Var(&s.revision, "rev", 0, "as it was at a revision; 0: now")
	f.Int64Var(&s.limit, "limit", 0, "at most so many keys; 0: all")
	return c
}

// span is which keys a command is about, from its arguments and flags.
type span struct {
	prefix          bool
	revision, limit int64
}

func (s *span) flag(c *cobra.Command) {
	c.Flags().BoolVar(&s.prefix, "prefix", false, "all keys that begin with KEY")
	c.PreRunE = func(_ *cobra.Command, args []string) error {
		switch {
		case s.prefix && len(args) == 2:
			return usage(fmt.Errorf("--prefix is given, and END %q. Give one of them", args[1]))
		case s.revision < 0:
			return usage(fmt.Errorf("--rev is %d. It is 0, for now, or above", s.revision))
		case s.limit < 0:
			return usage(fmt.Errorf("--limit is %d. It is 0, for all, or above", s.limit))
		}
		return nil
	}
}

// end is what a request has as its end of a range; nil: one key.
func (s *span) end(args []string) []byte {
	switch {
	case len(args) == 2:
		return []byte(args[1])
	case s.prefix:
		return prefixEnd([]byte(args[0]))
	}
	return nil
}

func (p *Program) printKeys(got *pb.RangeResponse, q *pb.RangeRequest) error {
	if p.output == "json" {
		out := struct {
			Revision int64      `json:"revision"`
			Count    int64      `json:"count"`
			More     bool       `json:"more"`
			Keys     []*keyJSON `json:"keys"`
		}{got.Header.GetRevision(), got.Count, got.More, []*keyJSON{}}
		for _, k := range got.Kvs {
			out.Keys = append(out.Keys, keyOf(k))
		}
		return p.json(out)
	}
	for _, k := range got.Kvs {
		if len(q.RangeEnd) > 0 || q.KeysOnly {
			fmt.Fprintf(p.Out, "%s\n", k.Key)
		}
		if !q.KeysOnly {
			fmt.Fprintf(p.Out, "%s\n", k.Value)
		}
	}
	if got.More {
		fmt.Fprintf(p.Err, "%d of %d keys: --limit leaves out the others\n", len(got.Kvs), got.Count)
	}
	return nil
}

func (p *Program) put() *cobra.Command {
	return &cobra.Command{
		Use: "put KEY VALUE", Short: "Write a key", Args: exactly(2),
		RunE: func(c *cobra.Command, args []string) error {
			var got *pb.PutResponse
			err := p.ask(c.Context(), true, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
				got, err = pb.NewKVClient(conn).Put(ctx, &pb.PutRequest{Key: []byte(args[0]), Value: []byte(args[1])})
				return err
			})
			if err != nil {
				return err
			}
			if p.output == "json" {
				return p.json(map[string]int64{"revision": got.Header.GetRevision()})
			}
			fmt.Fprintln(p.Out, "OK")
			return nil
		},
	}
}

func (p *Program) del() *cobra.Command {
	var s span
	c := &cobra.Command{
		Use: "del KEY [END]", Short: "Delete a key, or the keys from KEY up to END", Args: between(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			var got *pb.DeleteRangeResponse
			q := &pb.DeleteRangeRequest{Key: []byte(args[0]), RangeEnd: s.end(args)}
			err := p.ask(c.Context(), true, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
				got, err = pb.NewKVClient(conn).DeleteRange(ctx, q)
				return err
			})
			if err != nil {
				return err
			}
			if p.output == "json" {
				return p.json(map[string]int64{"revision": got.Header.GetRevision(), "deleted": got.Deleted})
			}
			fmt.Fprintln(p.Out, got.Deleted)
			return nil
		},
	}
	s.flag(c)
	return c
}

// eventJSON is one line of watch --output json.
type eventJSON struct {
	Type     string   `json:"type"` // put or delete
	Revision int64    `json:"revision"`
	Key      *keyJSON `json:"kv"`
	Prev     *keyJSON `json:"prev_kv,omitempty"`
}

func (p *Program) watch() *cobra.Command {
	var s span
	var prev bool
	c := &cobra.Command{
		Use: "watch KEY [END]", Short: "Print changes as they happen, until Ctrl-C", Args: between(1, 2),
		Long: "Print changes as they happen, from --rev on if it is given. When a server goes, another one is asked for what follows.",
		RunE: func(c *cobra.Command, args []string) error {
			q := &pb.WatchCreateRequest{Key: []byte(args[0]), RangeEnd: s.end(args), StartRevision: s.revision, PrevKv: prev}
			endpoints := p.endpoints
			for {
				conn, err := p.connectTo(c.Context(), endpoints)
				if err != nil {
					return asked(err, false, p.timeout)
				}
				err = p.follow(c.Context(), conn, q)
				_ = conn.Close()
				others := slices.DeleteFunc(slices.Clone(endpoints), func(e string) bool { return target(e) == conn.Target() })
				if elsewhere(err) && len(others) > 0 {
					endpoints = others
					continue
				}
				endpoints = p.endpoints
				var coded *codedError
				if c.Context().Err() != nil {
					return &codedError{code: exitInterrupted}
				}
				if errors.As(err, &coded) && coded.code != exitNotDone || q.StartRevision == 0 {
					return err
				}
			}
		},
	}
	s.flag(c)
	f := c.Flags()
	f.BoolVar(&prev, "prev-kv", false, "also what was there before")
	f.Int64Var(&s.revision, "rev", 0, "first revision; 0: from now on")
	return c
}

// follow prints events until the stream ends, and keeps in q where to go on.
func (p *Program) follow(ctx context.Context, conn *grpc.ClientConn, q *pb.WatchCreateRequest) error {
	s, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		return asked(err, false, p.timeout)
	}
	if err := s.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: q}}); err != nil && !errors.Is(err, io.EOF) {
		return asked(err, false, p.timeout)
	}
	for {
		r, err := s.Recv()
		if err != nil {
			return asked(err, false, p.timeout)
		}
		if r.CompactRevision != 0 {
			return &codedError{exitNo, fmt.Errorf("revision %d is compacted. Watch from what is left: --rev %d", q.StartRevision, r.CompactRevision)}
		}
		if r.Canceled {
			return &codedError{exitNo, fmt.Errorf("watch is canceled: %s", r.CancelReason)}
		}
		if r.Created && q.StartRevision == 0 {
			q.StartRevision = r.Header.GetRevision() + 1
		}
		for _, e := range r.Events {
			if err := p.printEvent(e); err != nil {
				return &codedError{exitFailed, err}
			}
			q.StartRevision = e.Kv.ModRevision + 1
		}
	}
}

func (p *Program) printEvent(e *mvccpb.Event) error {
	kind, word := "put", "PUT"
	if e.Type == mvccpb.Event_DELETE {
		kind, word = "delete", "DELETE"
	}
	if p.output == "json" {
		return json.NewEncoder(p.Out).Encode(eventJSON{kind, e.Kv.ModRevision, keyOf(e.Kv), keyOf(e.PrevKv)})
	}
	_, err := fmt.Fprintf(p.Out, "%s\n%s\n%s\n", word, e.Kv.Key, e.Kv.Value)
	return err
}

func first(urls []string) string {
	if len(urls) == 0 {
		return "-"
	}
	return plain(urls[0])
}
