// Package session is the exactly-once table of one group: what is known of commands that clients may
// send again. It is pure, and part of the group's replicated state: every replica decides alike.
//
// A Session is a client's register in the log. It numbers its commands (Seq) and says which of them it
// still waits for (Low); the table keeps the results from there on. A Token names one command for
// itself, and says when it was drawn. A Header stands before the command in the log. Decide tells
// whether the machine runs the command, or what it is answered instead; Record keeps what the machine
// gave. Time is log time; an entry is decided as a whole, between Begin and End.
//
// Promises: a command of a session, or under a token, runs at most once (S1); whoever was evicted or
// forgotten is refused and never run again (S2); equal entries give equal tables, however the machine's
// batches were cut (S3); Limits bound the table, whatever clients do (S4); what AppendBinary gives,
// UnmarshalBinary takes back, and Digest is of all of it (S5). A Table is used by one task at a time.
package session
