package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// connections of a client to the leader: one alone would be the limit.
const connections = 8

// server measures puts into three server processes, through etcd's client, sent to the leader.
func server(t task) (point, error) {
	s, err := startProcesses(t.Peer, t.Program, t.Dir)
	if err != nil {
		return point{}, err
	}
	defer s.stop()
	c, err := dialLeader(s.endpoints)
	if err != nil {
		return point{}, err
	}
	defer c.close()
	return drive(load{
		on: c, clients: t.Clients, size: t.Size, warm: t.Warm, duration: t.Duration,
		cpu: func() time.Duration { return ownCPU() + s.cpu() }, profile: newProfile(t.Profile),
	})
}

// A serverClient puts through etcd's client, over several connections in turn.
type serverClient struct {
	conns []*clientv3.Client
	turn  atomic.Uint32
}

func dial(endpoint string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: putTimeout, Logger: zap.NewNop()})
}

// dialLeader waits for a leader and connects to it.
func dialLeader(endpoints []string) (*serverClient, error) {
	leader := ""
	err := poll(30*time.Second, func() (err error) {
		leader, err = findLeader(endpoints)
		return err
	})
	if err != nil {
		return nil, err
	}
	c := &serverClient{}
	for range connections {
		conn, err := dial(leader)
		if err != nil {
			c.close()
			return nil, fmt.Errorf("dial %s: %w", leader, err)
		}
		c.conns = append(c.conns, conn)
	}
	return c, poll(30*time.Second, func() error { return c.put(1, putCommand(1, 1, 16)) })
}

func findLeader(endpoints []string) (string, error) {
	var last error
	for _, e := range endpoints {
		c, err := dial(e)
		if err != nil {
			return "", fmt.Errorf("dial %s: %w", e, err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		status, err := c.Status(ctx, e)
		cancel()
		c.Close()
		if err == nil && status.Leader != 0 && status.Leader == status.Header.MemberId {
			return e, nil
		}
		last = errors.Join(last, err)
	}
	return "", fmt.Errorf("find leader: none leads: %w", last)
}

func (c *serverClient) put(_ int, cmd []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), putTimeout)
	defer cancel()
	conn := c.conns[c.turn.Add(1)%connections]
	_, err := conn.Put(ctx, string(cmd[:8]), string(cmd[8:]))
	return err
}

func (c *serverClient) start(int, []byte) (waiter, error) { return nil, noPipeline }

func (c *serverClient) get(_ int, key uint64) error {
	ctx, cancel := context.WithTimeout(context.Background(), putTimeout)
	defer cancel()
	conn := c.conns[c.turn.Add(1)%connections]
	_, err := conn.Get(ctx, string(binary.LittleEndian.AppendUint64(nil, key)))
	return err
}

func (c *serverClient) close() {
	for _, conn := range c.conns {
		conn.Close()
	}
}
