// GraphQL over HTTP: graphql-http and graphql-request.
import {readFileSync} from 'node:fs'
import {createServer} from 'node:http'
const [what, where, dir] = process.argv.slice(2)
if (what === 'serve') {
	const {buildSchema} = await import('graphql')
	const {createHandler} = await import('graphql-http/lib/use/http')
	const schema = buildSchema(`
		scalar JSON
		type Note { id: ID!, title: String!, tags: [String!]!, size: Float, parent: Note }
		input NoteInput { title: String!, tags: [String!], size: Float, meta: JSON }
		type Query { note(id: ID!): Note, notes(filter: String, first: Int = 10, after: ID, ids: [ID!]): [Note!]! }
		type Mutation { save(id: ID, input: NoteInput!): Note, delete(id: ID!): Boolean, login(user: String!, password: String!): String }`)
	const note = {id: '1', title: 'one', tags: [], size: 1}
	const rootValue = {note: () => note, notes: () => [note], save: () => note, delete: () => true, login: () => 'in'}
	const handler = createHandler({schema, rootValue})
	createServer((req, res) => handler(req, res)).listen(+where, '127.0.0.1')
} else {
	const {GraphQLClient, gql} = await import('graphql-request')
	const names = JSON.parse(readFileSync(dir + '/names.json', 'utf8'))
	const post = new GraphQLClient(where + '/graphql', {headers: {authorization: 'Bearer x', 'x-csrf-token': 'abc'}})
	const get = new GraphQLClient(where + '/graphql', {method: 'GET', jsonSerializer: JSON})
	const plain = new GraphQLClient(where + '/graphql', {headers: {'content-type': 'application/json; charset=utf-8', accept: 'application/graphql-response+json'}})
	const tell = e => { if (!e.response) console.error(e.message) }
	for (const [i, name] of names.entries()) {
		await post.request(gql`mutation Save($id: ID, $input: NoteInput!) { save(id: $id, input: $input) { ...F } } fragment F on Note { id title tags }`,
			{id: String(2n ** 63n + BigInt(i)), input: {title: name, tags: [name, '', '\u0000\ud83d\ude00'], size: i * 1e20 + 0.1, meta: {deep: [[[{a: null, '': false, 'a.b[]': [name]}]]]}}}).catch(tell)
		await get.request(gql`query Find($f: String, $n: Int) { notes(filter: $f, first: $n) { id title parent { id } } }`, {f: name, n: i}).catch(tell)
		await plain.request(`{ note(id: ${JSON.stringify(name)}) { id } other: notes(ids: [1, ${i}]) { title } }`).catch(tell)
		if (i % 3 === 0) await post.batchRequests([{document: '{ note(id: "1") { id } }'}, {document: 'mutation ($i: ID!) { delete(id: $i) }', variables: {i: name}}]).catch(tell)
		if (i % 5 === 0) await post.request('mutation ($u: String!, $p: String!) { login(user: $u, password: $p) }', {u: 'alice', p: name}).catch(tell)
	}
}
