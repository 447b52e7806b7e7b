// Loaded before a program that runs in a network namespace of its own, where
// nothing can be reached. What the program sends to port 443 is carried, byte for
// byte, to the Unix socket named by BRIDGE: TLS is between the program and
// whoever listens there.
import { connect, createServer } from 'node:net'

const server = createServer(inside => {
	const outside = connect(process.env.BRIDGE)
	inside.pipe(outside).pipe(inside)
	inside.on('error', () => outside.destroy())
	outside.on('error', () => inside.destroy())
})
await new Promise((resolve, reject) => server.once('error', reject).listen(443, '127.0.0.1', resolve))
server.unref()
