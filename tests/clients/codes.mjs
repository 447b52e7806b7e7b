// Reads {"uri", "time"} from standard input, time in Unix seconds, and prints
// what the packages otpauth and otplib make of the otpauth URI: the names that
// they show, and the code that they would show at that time.
import { text } from 'node:stream/consumers'
import { URI } from 'otpauth'
import { generateSync } from 'otplib'
import { parse } from '@otplib/uri'

const { uri, time } = JSON.parse(await text(process.stdin))
const one = URI.parse(uri)
const { type, label, params } = parse(uri)

console.log(JSON.stringify({
	otpauth: { label: one.issuer + ':' + one.label, issuer: one.issuer, code: one.generate({ timestamp: time * 1000 }) },
	otplib: { label, issuer: params.issuer, code: generateSync({ strategy: type, epoch: time, ...params }) },
}))
