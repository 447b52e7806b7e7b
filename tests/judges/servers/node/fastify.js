// Fastify as it comes, and with every option that makes its router lenient.
// Arguments: the port, and "lenient".
const [port, mode] = process.argv.slice(2)
const lenient = mode === 'lenient'
const router = lenient ? {ignoreTrailingSlash: true, ignoreDuplicateSlashes: true, caseSensitive: false, useSemicolonDelimiter: true} : {}
const app = require('fastify')({keepAliveTimeout: 120000, bodyLimit: 2 << 20, exposeHeadRoutes: false, ...(lenient ? {routerOptions: router} : {})})

const ran = (reply, handler) => reply.header('X-Ran', handler).send({handler})
const answer = handler => (req, reply) => ran(reply, handler)
const is = (value, ...wanted) => wanted.some(w => value == w)
const fields = req => [req.query, req.body].filter(x => x && typeof x === 'object')

app.register(require('@fastify/formbody'))
app.register(require('@fastify/multipart'), {attachFieldsToBody: 'keyValues'})
if (lenient) app.addContentTypeParser('*', {parseAs: 'string'}, (req, body, done) => { try { done(null, JSON.parse(body)) } catch { done(null, body) } })
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
const all = (url, handler) => app.route({method: methods, url, handler})
app.register(async () => {
	all('/admin', answer('ADMIN'))
	all('/admin/*', answer('ADMIN'))
	all('/transfer/pay', answer('TRANSFER'))
	all('/transfer/:what', answer('TRANSFER'))
	all('/exact', answer('EXACT'))
	all('/view/:id', answer('VIEW'))
	app.route({method: 'DELETE', url: '/item/:id', handler: answer('ERASE')})
	all('/app', (req, reply) => ran(reply, fields(req).some(f => is(f.op, 'withdraw', 'pay')) ? 'FORM' : 'PUBLIC'))
	all('/neg', (req, reply) => ran(reply, fields(req).some(f => f.op != null && !is(f.op, 'login')) ? 'NEG' : 'PUBLIC'))
	all('/rpc', (req, reply) => ran(reply, req.body && is(req.body.method, 'torrent-remove') ? 'RPC' : 'PUBLIC'))
	all('/rpcneg', (req, reply) => ran(reply, req.body && req.body.method != null && !is(req.body.method, 'torrent-get') ? 'RPCNEG' : 'PUBLIC'))
})
app.setNotFoundHandler((req, reply) => ran(reply, 'PUBLIC'))
app.setErrorHandler((err, req, reply) => reply.code(err.statusCode || 500).header('X-Ran', 'PUBLIC').send('error'))
app.listen({port: +port, host: '127.0.0.1'})
