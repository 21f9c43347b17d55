package raft

// unfitPatience is how many times longer than others an unfit replica waits before it campaigns.
const unfitPatience = 4

// unfitWait is for how many election timeouts a fit voter keeps up before an unfit leader hands over to it.
const unfitWait = 2

// onUnfit: the machine here cannot go on, while the log can. The replica acknowledges and votes as before,
// so that its group lives with as few others as ever. It does not lead where another can: it steps down,
// takes no transfer, and campaigns late. Only where nobody else leads it does, and takes no commands then:
// what an operator decides about a command that no machine can execute has to come into the log. As soon as
// one that is fit keeps up, it hands over: see preferred.
//
// Its machine executes again from an earlier place: what it reported so far is forgotten.
func (r *Replica) onUnfit() {
	r.own = marks{}
	r.marker.wanted, r.marker.wantAt = false, 0
	if r.unfit {
		return
	}
	r.unfit = true
	r.stirLeader()
	if r.role == Leader {
		r.bequeath()
		r.stepDown("its machine cannot go on")
	}
	r.resetElection()
}
