// Begins with the package @propelauth/node and the API key of {"key"} on standard
// input, as a server does when it starts.
import { text } from 'node:stream/consumers'
import { initBaseAuth } from '@propelauth/node'

const { key } = JSON.parse(await text(process.stdin))
initBaseAuth({ authUrl: 'https://auth.example.com', apiKey: key })
