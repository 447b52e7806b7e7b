// Uploads that can be resumed: tus-node-server and tus-js-client.
import {createServer} from 'node:http'
import {readFileSync, createReadStream, writeFileSync, statSync} from 'node:fs'
const [what, where, dir] = process.argv.slice(2)
if (what === 'serve') {
	const {Server} = await import('@tus/server')
	const {FileStore} = await import('@tus/file-store')
	const tus = new Server({path: '/files', datastore: new FileStore({directory: dir})})
	createServer((req, res) => {
		// As tusd does it, and middleware before this server.
		req.method = req.headers['x-http-method-override'] ?? req.method
		tus.handle(req, res)
	}).listen(+where, '127.0.0.1')
} else {
	const tus = await import('tus-js-client')
	const names = JSON.parse(readFileSync(dir + '/names.json', 'utf8'))
	for (const [i, name] of names.entries()) {
		const path = dir + '/up'
		writeFileSync(path, Buffer.from(name.repeat(i % 7 + 1) + '\0\xff', 'latin1'))
		await new Promise(done => {
			const u = new tus.Upload(createReadStream(path), {
				endpoint: where + '/files', uploadSize: statSync(path).size, chunkSize: i % 3 ? 40 : 1000,
				metadata: {filename: name, filetype: 'text/plain; charset="utf-8"'}, headers: {Authorization: 'Bearer ' + 'a'.repeat(20)}, retryDelays: null,
				overridePatchMethod: i % 4 === 1, removeFingerprintOnSuccess: true,
				onError: e => { console.error(name, e.message); done() },
				onSuccess: async () => { if (i % 6 === 0) await u.abort(true).catch(e => console.error(e.message)); done() },
			})
			u.start()
		})
	}
}
