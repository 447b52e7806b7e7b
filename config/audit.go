package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/nearest"
)

// MaxSyslog bounds the receivers of syslog.
const MaxSyslog = 5

// Audit is where the audit log is written, beside Caddy's logger step_up.audit, which
// has every event too.
type Audit struct {
	// File is where lines are appended, each a JSON object in a chain of hashes: see
	// `caddy step-up audit verify`. It is made with mode 0600 if it is missing, and
	// opened again within a second once it was moved away, so that logrotate needs no
	// more than `create`. A line is in the file before what it tells of is answered,
	// and on the disk within a second. Required. Placeholders are replaced.
	File string `json:"file,omitempty"`

	// Head is where the chain's last line is kept, so that the gateway notices when
	// lines are missing at the end of the file. It is best on another disk, or in a
	// directory where those who may write logs may not write. Default:
	// step_up_audit.head in Caddy's data directory. Placeholders are replaced.
	Head string `json:"head,omitempty"`

	// Node is the name of this gateway in each line, and the host of syslog. Default:
	// the name of the machine. Placeholders are replaced.
	Node string `json:"node,omitempty"`

	// Required refuses whatever is protected, with 503, while the file cannot be
	// written; the commands that take away access (reset, revoke, keys revoke) still
	// work. By default the gateway goes on:
	// lines wait in memory, up to 4,096 of them, and health, metrics and Caddy's log
	// say so.
	Required bool `json:"required,omitempty"`

	// Syslog are receivers to which the lines are sent too, in the form of RFC 5424.
	// Nobody waits for them: 8,192 lines wait for each, and those beyond are lost
	// there, counted, and still in the file. At most 5. Default: none.
	Syslog []Syslog `json:"syslog,omitempty"`
}

// Syslog is one receiver.
type Syslog struct {
	// Network is udp, tcp, tls, or unix for a datagram socket such as /dev/log. Over
	// tcp and tls messages are counted in octets, as RFC 6587 and RFC 5425 say.
	Network string `json:"network"`
	// Address is host:port, or the path of the socket. Placeholders are replaced.
	Address string `json:"address"`
	// CA is a file of certificates in PEM by which the receiver is verified, of the
	// network tls. Default: the machine's certificates. Placeholders are replaced.
	CA string `json:"ca,omitempty"`
}

var syslogNetworks = []string{"udp", "tcp", "tls", "unix"}

// Validate returns the first thing that is wrong with a, as a sentence.
func (a Audit) Validate() error {
	if a.File == "" {
		return errors.New("audit needs a file, from which the chain goes on: write `file /var/log/caddy/step_up_audit.jsonl`")
	}
	if len(a.Syslog) > MaxSyslog {
		return at(fmt.Errorf("audit sends to at most %d receivers of syslog: remove some", MaxSyslog), "syslog")
	}
	for _, s := range a.Syslog {
		if err := s.Validate(); err != nil {
			return at(err, "syslog")
		}
	}
	return nil
}

// Validate returns the first thing that is wrong with s, as a sentence.
func (s Syslog) Validate() error {
	switch {
	case !slices.Contains(syslogNetworks, s.Network):
		return fmt.Errorf("syslog has no network %q: %s", s.Network, nearest.OneOf(s.Network, syslogNetworks))
	case s.Address == "":
		return errors.New("syslog needs an address, such as `syslog tls logs.example.com:6514`")
	case s.CA != "" && s.Network != "tls":
		return fmt.Errorf("syslog: ca is for the network tls: write `syslog tls %s`, or remove ca", s.Address)
	case strings.Contains(s.Address, "{"):
		return nil // a placeholder
	case s.Network == "unix":
		if !strings.HasPrefix(s.Address, "/") {
			return fmt.Errorf("syslog unix takes the path of a socket, such as /dev/log, not %q", s.Address)
		}
		return nil
	}
	if host, port, err := net.SplitHostPort(s.Address); err != nil || host == "" || port == "" {
		return fmt.Errorf("syslog %s takes host:port, such as logs.example.com:6514, not %q", s.Network, s.Address)
	}
	return nil
}
