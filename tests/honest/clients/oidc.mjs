// OpenID Connect: oidc-provider, and a client with openid-client whose callback
// is on the same address. The pages of sign-in and consent are the provider's own.
import {createServer} from 'node:http'
const [what, where, dir] = process.argv.slice(2)
const {Provider} = await import('oidc-provider')
const oidc = await import('openid-client')
const base = process.env.BASE // what people see
const redirect_uri = base + '/client/callback/gr%C3%B6%C3%9Fe%20%2F'
const provider = new Provider(base, {
	clients: [{client_id: 'app', client_secret: 'client secret & more', redirect_uris: [redirect_uri], post_logout_redirect_uris: [base + '/client/bye'], grant_types: ['authorization_code', 'refresh_token', 'client_credentials'], response_types: ['code']}],
	features: {clientCredentials: {enabled: true}, introspection: {enabled: true}, revocation: {enabled: true}, deviceFlow: {enabled: true}, pushedAuthorizationRequests: {enabled: true}, registration: {enabled: true}},
	cookies: {keys: ['recorded']}, pkce: {required: () => true}, claims: {openid: ['sub'], email: ['email', 'name']}, scopes: ['openid', 'offline_access', 'email'],
	findAccount: (_, id) => ({accountId: id, claims: () => ({sub: id, email: id + '@example.com'})}),
})
const handle = provider.callback()
let config
const pending = new Map()
createServer(async (req, res) => {
	try {
		const url = new URL(req.url, base)
		if (!url.pathname.startsWith('/client/')) return handle(req, res)
		config ??= await oidc.discovery(new URL(base), 'app', 'client secret & more', undefined, {execute: [oidc.allowInsecureRequests]})
		if (url.pathname === '/client/login') {
			const verifier = oidc.randomPKCECodeVerifier(), state = oidc.randomState() + '|/back to?x=1&y=ü'
			pending.set(state, verifier)
			const params = {redirect_uri, scope: 'openid offline_access email', code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', state, prompt: 'consent', claims: JSON.stringify({userinfo: {name: null}}), login_hint: url.searchParams.get('hint') ?? ''}
			const to = url.searchParams.has('par') ? await oidc.buildAuthorizationUrlWithPAR(config, params) : oidc.buildAuthorizationUrl(config, params)
			res.writeHead(302, {location: to.href}).end()
		} else if (url.pathname.startsWith('/client/callback/')) {
			const state = url.searchParams.get('state')
			const tokens = await oidc.authorizationCodeGrant(config, url, {pkceCodeVerifier: pending.get(state), expectedState: state})
			await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)
			const again = await oidc.refreshTokenGrant(config, tokens.refresh_token)
			await oidc.tokenIntrospection(config, again.access_token)
			await oidc.tokenRevocation(config, again.refresh_token)
			await oidc.clientCredentialsGrant(config, {}).catch(() => {})
			await oidc.initiateDeviceAuthorization(config, {scope: 'openid'}).catch(() => {})
			await oidc.dynamicClientRegistration(new URL(base), {redirect_uris: [base + '/other'], client_name: 'größe'}, undefined, {execute: [oidc.allowInsecureRequests]}).catch(e => console.error(e.message))
			res.setHeader('content-type', 'text/html')
			res.end(`<p>in</p><a href="${oidc.buildEndSessionUrl(config, {post_logout_redirect_uri: base + '/client/bye', id_token_hint: tokens.id_token, state: 'a/b+c'}).href.replaceAll('&', '&amp;')}">Sign out</a>`)
		} else res.end('bye')
	} catch (e) {
		console.error(e, e.cause)
		res.writeHead(500).end(String(e))
	}
}).listen(+where, '127.0.0.1')
