// Express as applications use it: mounted by prefix, with parameters, with body
// parsers. Arguments: the package (express or express4), the port, and "strict"
// for an application that parses JSON only where it is labeled so.
const [name, port, mode] = process.argv.slice(2)
const express = require(name)
const methodOverride = require('method-override')
const multer = require('multer')

const ran = (res, handler) => { res.set('X-Ran', handler); res.type('json').send(JSON.stringify({handler})) }
const answer = handler => (req, res) => ran(res, handler)
const is = (value, ...wanted) => wanted.some(w => value == w) // as JavaScript is written too often
const fields = req => [req.query, req.body].filter(x => x && typeof x === 'object')

const app = express()
app.disable('x-powered-by')
app.set('etag', false)
if (mode !== 'strict') app.set('query parser', 'extended')
app.use(express.urlencoded({extended: mode !== 'strict', limit: '2mb'}))
app.use(express.json(mode === 'strict' ? {} : {strict: false, type: req => !/multipart|urlencoded/.test(req.headers['content-type'] || '')}))
app.use(multer().any())
app.use(methodOverride('X-HTTP-Method-Override'))
app.use(methodOverride('_method'))
app.use(methodOverride(req => req.body && typeof req.body === 'object' && '_method' in req.body ? String(req.body._method) : undefined))

app.use('/admin/graphql', answer('ADMIN'))
app.use('/admin', answer('ADMIN'))
app.all('/transfer/pay', answer('TRANSFER'))
app.all('/transfer/:what', answer('TRANSFER'))
app.all(['/exact', '/exact.:format'], answer('EXACT'))
const view = express.Router()
view.all('/:id', answer('VIEW'))
app.use('/view', view)
app.delete('/item/:id', answer('ERASE'))
app.use('/app', (req, res) => ran(res, fields(req).some(f => is(f.op, 'withdraw', 'pay')) ? 'FORM' : 'PUBLIC'))
app.use('/neg', (req, res) => ran(res, fields(req).some(f => f.op != null && !is(f.op, 'login')) ? 'NEG' : 'PUBLIC'))
app.use('/rpc', (req, res) => ran(res, req.body && is(req.body.method, 'torrent-remove') ? 'RPC' : 'PUBLIC'))
app.use('/rpcneg', (req, res) => ran(res, req.body && req.body.method != null && !is(req.body.method, 'torrent-get') ? 'RPCNEG' : 'PUBLIC'))
app.use((req, res) => ran(res, 'PUBLIC'))
app.use((err, req, res, next) => { res.status(err.status || 500).set('X-Ran', 'PUBLIC').send('error') })
const server = app.listen(+port, '127.0.0.1')
server.keepAliveTimeout = 120000
