package etcdapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// The forms of JSON: names as in the protocol's definition, bytes as base64, 64-bit numbers as text,
// and fields that this server does not know are passed over, as etcd's gateway has it.
var (
	toJSON   = protojson.MarshalOptions{UseProtoNames: true}
	fromJSON = protojson.UnmarshalOptions{DiscardUnknown: true}
)

// newGateway routes each path of the API to the method behind it, without a network between.
func newGateway(s *Server) http.Handler {
	mux := http.NewServeMux()
	keys, members, care, users := &keyValues{Server: s}, &cluster{Server: s}, &maintenance{Server: s}, &auth{Server: s}
	post(s, mux, "/v3/kv/range", keys.Range)
	post(s, mux, "/v3/kv/put", keys.Put)
	post(s, mux, "/v3/kv/deleterange", keys.DeleteRange)
	post(s, mux, "/v3/kv/txn", keys.Txn)
	post(s, mux, "/v3/kv/compaction", keys.Compact)
	post(s, mux, "/v3/cluster/member/list", members.MemberList)
	post(s, mux, "/v3/cluster/member/remove", members.MemberRemove)
	post(s, mux, "/v3/cluster/member/promote", members.MemberPromote)
	post(s, mux, "/v3/maintenance/status", care.Status)
	post(s, mux, "/v3/maintenance/alarm", care.Alarm)
	post(s, mux, "/v3/maintenance/hash", care.Hash)
	post(s, mux, "/v3/maintenance/hashkv", care.HashKV)
	post(s, mux, "/v3/maintenance/defragment", care.Defragment)
	post(s, mux, "/v3/auth/status", users.AuthStatus)
	post(s, mux, "/v3/auth/authenticate", users.Authenticate)
	mux.HandleFunc("POST /v3/watch", s.watchJSON)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, notServed(r.Method, r.URL.Path))
	})
	return mux
}

// post serves one method at a path.
func post[Q, A any, QM messageOf[Q], AM messageOf[A]](s *Server, mux *http.ServeMux, path string, call func(context.Context, QM) (AM, error)) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.maxJSONBytes()))
		if err != nil {
			writeError(w, rpctypes.ErrGRPCRequestTooLarge)
			return
		}
		q := QM(new(Q))
		if len(body) > 0 {
			if err := fromJSON.Unmarshal(body, q); err != nil {
				writeError(w, status.Error(codes.InvalidArgument, err.Error()))
				return
			}
		}
		a, err := s.unary(r.Context(), q, nil, func(ctx context.Context, _ any) (any, error) { return call(ctx, q) })
		if err != nil {
			writeError(w, err)
			return
		}
		b, err := toJSON.Marshal(a.(AM))
		if err != nil {
			writeError(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(b) // the client is gone if it fails
	})
}

// messageOf is the pointer to a generated message.
type messageOf[T any] interface {
	*T
	proto.Message
}

// writeError answers with the status that stands for a code, and its text.
func writeError(w http.ResponseWriter, err error) {
	st := status.Convert(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(httpStatus(st.Code()))
	_ = json.NewEncoder(w).Encode(gatewayError{Error: st.Message(), Code: int(st.Code()), Message: st.Message()})
}

type gatewayError struct {
	Error   string `json:"error"`
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func httpStatus(c codes.Code) int {
	switch c {
	case codes.OK:
		return http.StatusOK
	case codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange:
		return http.StatusBadRequest
	case codes.NotFound:
		return http.StatusNotFound
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unimplemented:
		return http.StatusNotImplemented
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	case codes.Canceled:
		return 499
	}
	return http.StatusInternalServerError
}

// watchJSON is the Watch stream as JSON: requests one after another in the body, responses one to a
// line.
func (s *Server) watchJSON(w http.ResponseWriter, r *http.Request) {
	// Without it the server would read the rest of the body before the first line is sent.
	_ = http.NewResponseController(w).EnableFullDuplex()
	w.Header().Set("Content-Type", "application/json")
	body := &bounded{in: r.Body}
	j := &jsonStream{ctx: r.Context(), w: w, body: body, in: json.NewDecoder(body), most: s.maxJSONBytes()}
	err := (&watches{Server: s}).Watch(j)
	if err != nil && r.Context().Err() == nil {
		_ = j.line(map[string]any{"error": gatewayError{Error: status.Convert(err).Message(), Code: int(status.Code(err)), Message: status.Convert(err).Message()}})
	}
}

// jsonStream is a stream of the Watch service over HTTP.
type jsonStream struct {
	grpc.ServerStream // none: of it, only what is below is used
	ctx               context.Context
	w                 http.ResponseWriter
	body              *bounded
	in                *json.Decoder // of body
	most              int64         // bytes of one request
}

// bounded reads no more than left, and then says that a request is too large.
type bounded struct {
	in   io.Reader
	left int64
}

// Read is that of io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, rpctypes.ErrGRPCRequestTooLarge
	}
	n, err := b.in.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// maxJSONBytes is how long a request may be in JSON, where bytes are a third longer.
func (s *Server) maxJSONBytes() int64 { return 2*int64(s.o.MaxRequestBytes) + requestOverheadBytes }

// Context ends with the request.
func (j *jsonStream) Context() context.Context { return j.ctx }

// SetHeader does nothing.
func (j *jsonStream) SetHeader(metadata.MD) error { return nil }

// Recv reads the next request of the body.
func (j *jsonStream) Recv() (*pb.WatchRequest, error) {
	var raw json.RawMessage
	j.body.left = j.most
	if err := j.in.Decode(&raw); err != nil {
		if errors.Is(err, rpctypes.ErrGRPCRequestTooLarge) {
			return nil, err
		}
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	r := new(pb.WatchRequest)
	if err := fromJSON.Unmarshal(raw, r); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return r, nil
}

// Send writes one response.
func (j *jsonStream) Send(r *pb.WatchResponse) error {
	b, err := toJSON.Marshal(r)
	if err != nil {
		return err
	}
	return j.line(map[string]json.RawMessage{"result": b})
}

func (j *jsonStream) line(v any) error {
	if err := json.NewEncoder(j.w).Encode(v); err != nil {
		return err
	}
	return http.NewResponseController(j.w).Flush()
}
