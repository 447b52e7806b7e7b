package portal

import (
	"context"
	"net/http"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

func nobody(*http.Request) (ceremony.Principal, error) { return ceremony.Principal{}, ErrNobody }
func noSite(*http.Request) Site                        { return Site{} }
func noReport(context.Context, error)                  {}
