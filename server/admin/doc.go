// Package admin answers questions about one host over HTTP: /status as JSON, /livez, /readyz and
// /health for whoever restarts or routes, /version.
//
// The nouns: Status is the host's own status with what the server in front of it adds; a Check is one
// condition of being alive or ready, with a name that stays.
//
// The promises: fields of /status are only added, durations are nanoseconds and digests hex; nothing
// here changes anything, and no answer takes longer than its checks' bound (A9).
package admin
