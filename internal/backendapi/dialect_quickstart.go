package backendapi

import "github.com/stepup-gateway/caddy-stepup/internal/ceremony"

// quickstart is the SecureAuth API.
var quickstart = dialect{
	under:   []string{"/v1/mfa/", "/qr/"},
	schemes: []string{"bearer"},
	tell:    plain.tell,
}

var _ = ceremony.UserUUID

func quickstartRoutes() []route { return nil }
