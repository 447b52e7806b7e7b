package identity

// WellKnownPlace is a place that carries a credential in so many applications
// that nobody has to name it.
type WellKnownPlace struct {
	Credential
	// Why says who reads it.
	Why string
	// SameCookie allows the value that the cookie of the same name has.
	SameCookie bool
	// Secret counts only values that look generated: the name has other uses.
	Secret bool
}

func header(name, why string) WellKnownPlace {
	return WellKnownPlace{Credential: Credential{Header, name}, Why: why}
}

func query(name, why string) WellKnownPlace {
	return WellKnownPlace{Credential: Credential{Query, name}, Why: why}
}

// WellKnown are the places that a protected request may have only where the
// identity source's answer stands for them. Only unmistakable names are here.
// These are not, though some applications read credentials there:
//
//   - token, _token, csrf-token, authenticity_token, _wpnonce, X-CSRF-Token,
//     X-WP-Nonce, X-Atlassian-Token, X-Transmission-Session-Id: they protect
//     against forged requests;
//   - code, state, oauth_token, id_token: callbacks of OAuth and OpenID Connect;
//   - password, pass, login, user: forms for signing in and for passwords;
//   - api_key and private_token in a form: settings of other services;
//   - Remote-User, X-Forwarded-User, X-Forwarded-Access-Token and the like:
//     proxies in front set them on every request;
//   - cookies: the ones that sign users in have any name.
//
// The operator names those that the application reads.
var WellKnown = []WellKnownPlace{
	header("Authorization", "RFC 9110 section 11.6.2"),
	header("X-Authorization", "applications whose Authorization a proxy uses itself"),
	header("X-Api-Key", "API gateways, Radarr, Sonarr, Immich, many others"),
	header("X-Apikey", "a spelling of X-Api-Key"),
	header("Api-Key", "Azure services, Discourse"),
	header("Apikey", "Kong, Supabase"),
	header("X-Api-Token", "a spelling of X-Api-Key"),
	header("X-Auth-Token", "OpenStack, Spring Session, Rocket.Chat, Miniflux"),
	header("X-Auth-Key", "APIs that split a key from an address"),
	header("X-Access-Token", "single-page applications, Gitea"),
	header("X-Session-Token", "Ory Kratos, Metabase"),
	header("X-Metabase-Session", "Metabase"),
	header("X-User-Token", "simple_token_authentication of Rails"),
	header("Private-Token", "GitLab"),
	header("Job-Token", "GitLab"),
	header("Deploy-Token", "GitLab"),
	header("X-Redmine-API-Key", "Redmine: wins over the session in API formats"),
	header("X-Redmine-Switch-User", "Redmine: acts as another user"),
	header("X-Chef-Userid", "Chef"),
	header("X-Jfrog-Art-Api", "Artifactory"),
	header("X-Nuget-ApiKey", "NuGet servers"),
	header("X-Vault-Token", "Vault, OpenBao"),
	header("X-Consul-Token", "Consul"),
	header("X-Nomad-Token", "Nomad"),
	header("X-Plex-Token", "Plex"),
	header("X-Emby-Token", "Emby, Jellyfin"),
	header("X-Emby-Authorization", "Emby, Jellyfin"),
	header("X-MediaBrowser-Token", "Emby, Jellyfin"),
	header("X-Shopify-Access-Token", "Shopify"),
	header("X-Amz-Security-Token", "S3 and what speaks like it"),
	header("Dolapikey", "Dolibarr"),

	query("access_token", "RFC 6750 section 2.3"),
	query("api_key", "Redmine's plugins, Emby, Discourse, many others"),
	query("apikey", "Sonarr, Radarr, Kong, Elasticsearch's Kibana"),
	query("x_api_key", "the header's name in a query"),
	query("api_token", "Laravel's token guard, Pipedrive"),
	query("auth_token", "Devise's token_authenticatable"),
	query("user_token", "simple_token_authentication of Rails"),
	query("private_token", "GitLab"),
	query("job_token", "GitLab"),
	query("x_plex_token", "Plex"),
	query("x_amz_signature", "links that S3 and what speaks like it take for their signer's"),
	{Credential: Credential{Query, "key"}, Why: "Redmine; other applications use the name for words", Secret: true},
	{Credential: Credential{Query, "jsessionid"}, Why: "servlets, mostly as a parameter of the path", SameCookie: true},
	{Credential: Credential{Query, "phpsessid"}, Why: "PHP with session.use_only_cookies off", SameCookie: true},
}

// FormToken is the one field of a form that is looked for unasked (RFC 6750
// section 2.2).
const FormToken = "access_token"

// Harmless are cookies of which it is known that they sign nobody in: they count
// visits, or protect against forged requests.
var Harmless = []Credential{
	{Cookie, "_ga*"}, {Cookie, "_gid"}, {Cookie, "_gat*"}, {Cookie, "_gcl*"}, {Cookie, "_fbp"}, {Cookie, "_pk_*"},
	{Cookie, "_hj*"}, {Cookie, "__cf_bm"}, {Cookie, "csrftoken"}, {Cookie, "xsrf-token"}, {Cookie, "_csrf"},
}
