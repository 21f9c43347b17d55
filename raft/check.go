package raft

func (r *Replica) check()      {}
func (r *Replica) checkReady() {}
