package raft

// giveUpUnsaved: a candidate gives up the entries that its disk refuses for lack of space. While a
// disk is full it still takes terms, votes and empty entries; but a leader's first empty entry behind
// entries that wait for space would wait with them, and every linearizable read behind it.
//
// What is given up is neither durable here as far as this replica knows, nor known to be committed. It is
// as if the appends that brought it had been lost, which is safe as long as nobody was told the contrary:
// an acknowledgement says what is durable and leaves only after the save of it (R7). One that waits may
// not leave any more, even if the disk writes the entries after all: the older leader would commit them
// by this replica's word, after its vote was asked and counted for a log without them. GivenUp has the
// host take such words back. That the disk may hold the entries until others are written over them is
// as after any truncation that a crash undoes.
//
// It is done before a pre-vote is asked, so that the question is about the log that the vote will be for.
func (r *Replica) giveUpUnsaved() {
	i := max(r.log.saved, r.commit) + 1
	if !r.full || i > r.log.last() {
		return
	}
	r.truncate(i)
	if g := &r.ready.GivenUp; *g == 0 || i < *g {
		*g = i
	}
	r.full = r.log.saved < r.log.last()
}
