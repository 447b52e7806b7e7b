package doctor

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/coverage"
)

// document is Caddy's configuration, as far as it is looked at.
type document struct {
	Admin struct {
		Disabled bool   `json:"disabled"`
		Listen   string `json:"listen"`
	} `json:"admin"`
	Apps struct {
		HTTP struct {
			HTTPPort int               `json:"http_port"`
			Servers  map[string]server `json:"servers"`
		} `json:"http"`
		StepUp app `json:"step_up"`
	} `json:"apps"`
}

type app struct {
	config.App
	Store       json.RawMessage `json:"store"`
	SMSSender   json.RawMessage `json:"sms_sender"`
	EmailSender json.RawMessage `json:"email_sender"`
	Source      config.Source   `json:"source"`
}

// at returns where a setting of the app stands.
func (a app) at(setting string) string { return placed(a.Source, "apps.step_up", setting) }

type server struct {
	Listen []string `json:"listen"`
	Routes []route  `json:"routes"`
	Errors struct {
		Routes []route `json:"routes"`
	} `json:"errors"`
	TrustedProxies  json.RawMessage `json:"trusted_proxies"`
	TLSConnPolicies []struct {
		ClientAuth json.RawMessage `json:"client_authentication"`
	} `json:"tls_connection_policies"`
	Logs *struct {
		Credentials bool `json:"should_log_credentials"`
	} `json:"logs"`
}

type route struct {
	Match    []map[string]json.RawMessage `json:"match"`
	Handle   []json.RawMessage            `json:"handle"`
	Terminal bool                         `json:"terminal"`
}

// handler is a handler of a server, in the order in which requests come to them.
type handler struct {
	name   string // of the module
	raw    json.RawMessage
	path   string   // in the JSON
	server string   // its name
	hosts  []string // those that it is reached for; none: all
	match  []map[string][]string
}

// site is a step_up with what stands around it.
type site struct {
	settings
	handler
	view          Site
	before, after []handler
}

// settings are those of a step_up.
type settings struct {
	config.Site
	Identity json.RawMessage `json:"identity"`
	Source   config.Source   `json:"source"`
}

// at returns where a setting of the site stands.
func (s *site) at(setting string) string { return placed(s.Source, s.path, setting) }

func placed(source config.Source, path, setting string) string {
	if line := source.Of(setting); line != "" {
		return line
	}
	if setting == "" {
		return path
	}
	return path + "." + setting
}

// walk lists the handlers of all servers, and the sites among them.
func (e *examination) walk() {
	for _, name := range sortedKeys(e.doc.Apps.HTTP.Servers) {
		s := e.doc.Apps.HTTP.Servers[name]
		e.routes(s.Routes, handler{server: name, path: "apps.http.servers." + name + ".routes"}, 0)
	}
	for i, h := range e.handlers {
		switch h.name {
		case "step_up_api":
			e.apis = append(e.apis, h)
		case "step_up":
			s := &site{handler: h}
			if json.Unmarshal(h.raw, &s.settings) != nil {
				continue // it is refused when it loads
			}
			for j, other := range e.handlers {
				if other.server != h.server || apart(other.hosts, h.hosts) || i == j {
					continue
				}
				if j < i {
					s.before = append(s.before, other)
				} else {
					s.after = append(s.after, other)
				}
			}
			e.sites = append(e.sites, s)
		}
	}
}

func (e *examination) routes(list []route, at handler, depth int) {
	if depth > coverage.MaxNesting {
		return
	}
	for i, r := range list {
		here := at
		for _, set := range r.Match {
			words := map[string][]string{}
			for name, raw := range set {
				var list []string
				_ = json.Unmarshal(raw, &list)
				words[name] = list
			}
			here.match = append(slices.Clone(here.match), words)
			here.hosts = append(slices.Clone(here.hosts), words["host"]...)
		}
		for j, raw := range r.Handle {
			h := here
			h.raw, h.path = raw, fmt.Sprintf("%s[%d].handle[%d]", at.path, i, j)
			var said struct {
				Handler string  `json:"handler"`
				Routes  []route `json:"routes"`
			}
			_ = json.Unmarshal(raw, &said)
			h.name = said.Handler
			e.handlers = append(e.handlers, h)
			if len(said.Routes) > 0 {
				inner := h
				inner.path += ".routes"
				e.routes(said.Routes, inner, depth+1)
			}
		}
	}
}

// dials are the addresses that a reverse_proxy passes requests to.
func (h handler) dials() (all []string) {
	var said struct {
		Upstreams []struct {
			Dial string `json:"dial"`
		} `json:"upstreams"`
	}
	_ = json.Unmarshal(h.raw, &said)
	for _, u := range said.Upstreams {
		all = append(all, u.Dial)
	}
	return all
}

// asks reports whether a reverse_proxy only asks whether to go on, as forward_auth
// does.
func (h handler) asks() bool {
	var said struct {
		HandleResponse []json.RawMessage `json:"handle_response"`
		Rewrite        json.RawMessage   `json:"rewrite"`
	}
	_ = json.Unmarshal(h.raw, &said)
	return h.name == "reverse_proxy" && said.HandleResponse != nil && said.Rewrite != nil
}

// apart reports whether no host is in both lists; an empty one is all hosts.
func apart(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	return !slices.ContainsFunc(a, func(h string) bool {
		return slices.ContainsFunc(b, func(o string) bool {
			return strings.EqualFold(h, o) || strings.Contains(h+o, "*") || strings.Contains(h+o, "{")
		})
	})
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
