// Streams: socket.io by polling and by WebSocket, and server-sent events.
import {readFileSync} from 'node:fs'
import {createServer} from 'node:http'
const [what, where, dir] = process.argv.slice(2)
if (what === 'serve') {
	const {Server} = await import('socket.io')
	const http = createServer((req, res) => {
		res.writeHead(200, {'content-type': 'text/event-stream'})
		res.end(`id: ${req.url}\ndata: one\n\n`)
	})
	const io = new Server(http, {allowEIO3: true})
	io.of(/.*/).on('connection', s => s.onAny((e, ...args) => args.at(-1)?.('ok')))
	http.listen(+where, '127.0.0.1')
} else {
	const {io} = await import('socket.io-client')
	const {EventSource} = await import('eventsource')
	const names = JSON.parse(readFileSync(dir + '/names.json', 'utf8'))
	for (const [i, name] of names.entries()) {
		const s = io(where + '/room-' + i % 3, {transports: [['polling'], ['websocket'], ['polling', 'websocket']][i % 3], query: {name, token: 'x'}, auth: {user: name}, forceNew: true, reconnection: false})
		await new Promise(done => {
			s.on('connect_error', e => { console.error(e.message); done() })
			s.on('connect', async () => {
				for (const event of ['message', 'op', 'delete', name]) await s.timeout(2000).emitWithAck(event, {text: name, n: i, bytes: i % 2 ? Buffer.from([0, 255, i]) : null}).catch(() => {})
				done()
			})
		})
		s.close()
		const es = new EventSource(where + '/events/' + encodeURIComponent(name) + '?topic=' + encodeURIComponent(name) + '&topic=b', {withCredentials: true})
		await new Promise(done => { let n = 0; es.onmessage = () => { if (++n === 1) done() }; es.onerror = done })
		es.close()
	}
}
