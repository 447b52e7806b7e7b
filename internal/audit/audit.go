// Package audit is the form of the audit log, and its chain: what a line holds, how
// lines are written to a file and to syslog, read, verified and erased.
//
// A line is one JSON object, alone on its line:
//
//	{"v":1,"chain":ID,"seq":N,"prev":HASH,"salt":SALT,"entry":{…},"hash":HASH}
//	{"v":1,"chain":ID,"seq":N,"prev":HASH,"leaf":HASH,"hash":HASH}
//
// The second form is a line that was erased. Lines of one chain are numbered from 1;
// prev is the hash of the line before, zeros in the first line. Every hash is SHA-256,
// in base64url without padding:
//
//	leaf = SHA-256("step-up audit entry 1" 0 | salt[16] | entry, as it stands in the line)
//	hash = SHA-256("step-up audit line 1" 0 | chain[8] | seq[8] | prev[32] | leaf[32])
//
// seq is big-endian. Since the chain covers leaf and not the entry, an entry can be
// erased with its salt, and the chain still verifies; without the salt nobody can
// find out by trying what the entry was. There is one spelling of each line: what
// does not encode to the same bytes again was altered.
//
// What the chain proves: a line that was altered, taken out, put in or moved is
// found by [Verify], as long as the lines after it are those that the gateway wrote.
// Whoever can write the file can make a whole chain of their own, and can cut off its
// end: only a hash that is known from elsewhere (syslog, Caddy's log, the health
// route, the head that [Log] keeps) tells so.
package audit

// Version is that of the form of lines and entries.
const Version = 1

// EventLog is the event of the records of the log about itself.
const EventLog = "audit_log"

// Record is the outcome of a record of the log about itself.
type Record string

// The records.
const (
	Begun   Record = "begun"   // a new chain begins: `cause` is `first_start`
	Opened  Record = "opened"  // the file was opened: `cause` is `start`; `rotated`, where it had been moved away; or `no_head`, where it was not known what its last line should be
	Torn    Record = "torn"    // a text in the file is no line, since writing it was interrupted; see `torn_digest`
	Missing Record = "missing" // lines are missing at the end of the file that the gateway had written, from `missing_from` on
	Lost    Record = "lost"    // as many lines as `left_out` says were lost, since the file could not be written
)
