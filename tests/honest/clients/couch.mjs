// CouchDB's protocol: express-pouchdb, and PouchDB as its client.
import {readFileSync} from 'node:fs'
import {createRequire} from 'node:module'
const require = createRequire(import.meta.url)
const [what, where, dir] = process.argv.slice(2)
const PouchDB = require('pouchdb')
PouchDB.plugin(require('pouchdb-adapter-memory'))
if (what === 'serve') {
	process.chdir(dir)
	const express = require('express')
	express().use('/', require('express-pouchdb')(PouchDB.defaults({adapter: 'memory'}), {inMemoryConfig: true, logPath: dir + '/log'})).listen(+where, '127.0.0.1')
} else {
	const names = JSON.parse(readFileSync(dir + '/names.json', 'utf8'))
	const tell = name => e => { if (!e.status) console.error(name, e.message) }
	for (const db of ['notes', 'team_$()+-/x']) {
		const p = new PouchDB(where + '/' + encodeURIComponent(db))
		const local = new PouchDB('local-' + db, {adapter: 'memory'})
		for (const [i, name] of names.entries()) {
			const id = name.startsWith('_') ? 'x' + name : name
			const r = await p.put({_id: id, title: name, n: i * 1e15, 'odd.key[]': [name, {a: null}]}).catch(tell(name))
			await p.get(id, {revs: true, conflicts: true}).catch(tell(name))
			if (r && i % 2) await p.putAttachment(id, name.replaceAll('/', '_'), r.rev, Buffer.from(name), 'text/plain').catch(tell(name))
			if (r && i % 3 === 0) await p.get(id).then(d => p.remove(d)).catch(tell(name))
			if (i % 4 === 0) await p.allDocs({startkey: name, endkey: name + '\ufff0', include_docs: true, limit: 5}).catch(tell(name))
			if (i % 5 === 0) await local.put({_id: 'l ' + id, at: name, password: 'none'}).catch(tell(name))
		}
		await p.bulkDocs(names.slice(0, 20).map(n => ({_id: 'bulk/' + n, n}))).catch(tell('bulk'))
		await local.replicate.to(p).catch(tell('to'))
		await local.replicate.from(p).catch(tell('from'))
	}
	process.exit(0)
}
