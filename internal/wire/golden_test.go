package wire

import (
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/lockstep-rsm/lockstep/raft"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of versions that have none yet")

// TestGolden compares the bytes of every format with those of its released versions. A golden file
// that exists is never rewritten: other bytes need another version, with a file of its own.
func TestGolden(t *testing.T) {
	conf, hello, request, reply := sampleConfiguration(), sampleHello(), sampleFoundingRequest(), sampleFoundingReply()
	changing := sampleConfiguration()
	changing.Next = []raft.Member{{Replica: 1, Host: 11, Incarnation: 0x101}, {Replica: 5, Host: 15, Incarnation: 0x105}}
	preferring := sampleConfiguration()
	preferring.Priorities = []raft.Priority{{Host: 11, Value: 9}, {Host: 300, Value: 0}}
	appending, heartbeat, full := sampleAppend(), sampleHeartbeat(), sampleFull()
	identity, header := sampleHostIdentity(), sampleSnapshotHeader()
	grown := sampleHostIdentity()
	grown.Peers = []FoundingHost{{Host: 2, Addr: "10.0.0.2:2380", Incarnation: 0x102}, {Host: 9, Addr: "10.0.0.9:2380", Incarnation: 0x109}}
	more, patient := sampleMore(), samplePatient()
	prefer, transfer := sampleChangeRequest(), ChangeRequest{Cluster: sampleCluster(), Group: 7, Transfer: true, To: 300}
	prefer.Ask, prefer.Prefer, prefer.Priorities = false, true, preferring.Priorities
	token, join, joined, change, changed := sampleToken(), sampleJoinRequest(), sampleJoinReply(), sampleChangeRequest(), sampleChangeReply()
	supply := sampleSupplyRequest()
	for _, c := range []struct {
		name string
		got  []byte
	}{
		{"configuration_v1", AppendConfiguration(nil, &conf)},
		{"configuration_v2", AppendConfiguration(nil, &changing)},
		{"configuration_v3", AppendConfiguration(nil, &preferring)},
		{"payload_v1", samplePayload()},
		{"message_append_v1", AppendMessage(nil, &appending)},
		{"message_heartbeat_v1", AppendMessage(nil, &heartbeat)},
		{"message_full_v1", AppendMessage(nil, &full)},
		{"message_more_v1", AppendMessage(nil, &more)},
		{"message_timeout_v1", AppendMessage(nil, &patient)},
		{"packet_raft_v1", AppendPacket(nil, &Packet{Raft: &heartbeat})},
		{"packet_forward_v1", AppendPacket(nil, &Packet{Forward: sampleForward()})},
		{"packet_forward_reply_v1", AppendPacket(nil, &Packet{Reply: sampleForwardReply()})},
		{"packet_vouch_v1", AppendPacket(nil, &Packet{Vouch: sampleVouch()})},
		{"packet_wake_v1", AppendPacket(nil, &Packet{Wake: &Wake{Group: 7, Birth: 0xb}})},
		{"frame_v1", sampleFrame()},
		{"hello_v1", AppendHello(nil, &hello)},
		{"hello_reply_v1", AppendHelloReply(nil, &HelloReply{OK: true, Reason: "none", Hello: hello})},
		{"founding_request_v1", AppendFoundingRequest(nil, &request)},
		{"founding_reply_v1", AppendFoundingReply(nil, &reply)},
		{"host_v1", AppendHostIdentity(nil, &identity)},
		{"host_v2", AppendHostIdentity(nil, &grown)},
		{"token_v1", []byte(EncodeToken(&token))},
		{"join_request_v1", AppendJoinRequest(nil, &join)},
		{"join_reply_v1", AppendJoinReply(nil, &joined)},
		{"change_request_v1", AppendChangeRequest(nil, &change)},
		{"change_request_prefer_v1", AppendChangeRequest(nil, &prefer)},
		{"change_request_transfer_v1", AppendChangeRequest(nil, &transfer)},
		{"change_reply_v1", AppendChangeReply(nil, &changed)},
		{"supply_request_v1", AppendSupplyRequest(nil, &supply)},
		{"supply_reply_v1", AppendSupplyReply(nil, &SupplyReply{State: SupplyComes})},
		{"snapshot_header_v1", AppendSnapshotHeader(nil, &header)},
		{"snapshot_chunk_v1", sampleChunk()},
		{"snapshot_footer_v1", AppendFooter(nil, &Footer{Chunks: 4, Total: 3<<20 + 19, Digest: 0xd16e57})},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := filepath.Join("testdata", c.name+".hex")
			got := hex.Dump(c.got)
			want, err := os.ReadFile(name)
			if os.IsNotExist(err) && *rewrite {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the bytes changed without a new version:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}
