// Drives a gateway by the package @propelauth/node as it is published, against
// https://propelauth-api.com, which is what the package calls whatever it is
// told. Reads its task from standard input, as JSON:
//
//	{
//	  "key":     an API key with all scopes for the tenant
//	  "bare":    an API key that may not reset, and mints grants for "OTHER" only
//	  "action":  an action type that "key" mints grants for; "other": another one;
//	             "spaced": a third, which no rule can have
//	  "users":   {NAME: {"id", "secret"}}: one for each check that spends codes
//	  "unknown": an id that nobody has, a UUID; "unenrolled": one without authenticators
//	  "sms":     {"id", "outbox"}: a user with one phone, and the file of what is sent to it
//	}
//
// and prints one line of JSON for each check: {"check", "wrong"}, where wrong is
// empty if it holds.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { text } from 'node:stream/consumers'
import { TOTP, Secret } from 'otpauth'
import * as sdk from '@propelauth/node'

const task = JSON.parse(await text(process.stdin))
const open = apiKey => sdk.initBaseAuth({ authUrl: 'https://auth.example.com', apiKey })
const auth = open(task.key)
const { action, other, users } = task

// codeOf is a code of the user's app that was not used yet. Codes of two steps
// around now are good.
const used = new Map()
async function codeOf(user) {
	const now = () => Math.floor(Date.now() / 30000)
	const step = Math.max(now(), (used.get(user.id) ?? 0) + 1)
	while (step > now() + 2) await wait(200)
	used.set(user.id, step)
	return new TOTP({ secret: Secret.fromBase32(user.secret) }).generate({ timestamp: step * 30000 })
}

// wrongCode is one that is good neither now nor soon.
function wrongCode(user) {
	const totp = new TOTP({ secret: Secret.fromBase32(user.secret) })
	return ['000000', '111111', '222222', '333333', '444444'].find(token => totp.validate({ token, window: 5 }) === null)
}

const prove = (user, change = {}) => ({
	actionType: action, userId: user.id, grantType: 'ONE_TIME_USE', validForSeconds: 60, ...change,
})
const win = async (user, change = {}) => {
	const { stepUpGrant } = await auth.verifyStepUpTotpChallenge({ code: await codeOf(user), ...prove(user, change) })
	assert.match(stepUpGrant, /^\S{32,}$/)
	return stepUpGrant
}
const spend = async (user, grant, change = {}) =>
	(await auth.verifyStepUpGrant({ actionType: action, userId: user.id, grant, ...change })).success

// throws expects an exception of the package's own type and gives it.
async function throws(promise, type) {
	try {
		const value = await promise
		assert.fail(`gives ${JSON.stringify(value)} and not ${type.name}`)
	} catch (e) {
		if (e instanceof assert.AssertionError) throw e
		assert.equal(e.constructor.name, type.name, e.message)
		return e
	}
}

// raw is a call without the package, for what the package does not hand on.
const raw = (path, body, key = task.key) => fetch('https://propelauth-api.com' + path, {
	method: body === undefined ? 'GET' : 'POST', redirect: 'manual',
	headers: { Authorization: 'Bearer ' + key, 'Content-Type': 'application/json' },
	body: body === undefined ? undefined : JSON.stringify(body),
})

// message waits for a message that came after so many, and gives its code.
async function message(before) {
	for (let n = 0; n < 100; n++, await wait(100)) {
		const codes = (await outbox()).slice(before)
		if (codes.length) return codes.at(-1)
	}
	assert.fail('no message was sent')
}
const outbox = async () => {
	const lines = (await readFile(task.sms.outbox, 'utf8').catch(() => '')).split('\n').filter(Boolean)
	return lines.map(line => /\b\d{6}\b/.exec(JSON.parse(line).text)[0])
}

// publicKey lets the package begin without asking for one.
const { publicKey } = generateKeyPairSync('rsa', {
	modulusLength: 2048, publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})

const checks = {
	async 'metadata: the key of tokens is served'() {
		// The token is looked at, so the key was fetched and read.
		const e = await throws(auth.validateAccessTokenAndGetUser('Bearer x'), sdk.UnauthorizedException)
		assert.doesNotMatch(e.message, /initializ/i)
	},
	async 'methods: Totp'() {
		assert.deepEqual(await auth.fetchUserMfaMethods(users.plain.id), { mfaSetup: { type: 'Totp' } })
	},
	async 'methods: none'() {
		assert.deepEqual(await auth.fetchUserMfaMethods(task.unenrolled), { mfaSetup: null })
	},
	async 'methods: unknown user'() {
		assert.equal(await auth.fetchUserMfaMethods(task.unknown), null)
	},
	async 'methods: Phone'() {
		const { mfaSetup } = await auth.fetchUserMfaMethods(task.sms.id)
		assert.equal(mfaSetup.type, 'Phone')
		const phones = Object.values(mfaSetup.phoneNumbers)
		assert.equal(phones.length, 1)
		assert.match(phones[0].mfaPhoneNumberSuffix, /^\d{2,4}$/)
		assert.match(phones[0].mfaPhoneId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
	},
	async 'grant: one-time, once'() {
		const grant = await win(users.plain)
		assert.equal(await spend(users.plain, grant), true)
		assert.equal(await spend(users.plain, grant), false)
	},
	async 'grant: one-time, 20-way race'() {
		const grant = await win(users.race)
		const passed = await Promise.all(Array.from({ length: 20 }, () => spend(users.race, grant)))
		assert.equal(passed.filter(Boolean).length, 1)
	},
	async 'grant: time-based, many times'() {
		const grant = await win(users.timed, { grantType: 'TIME_BASED' })
		for (let n = 0; n < 3; n++) assert.equal(await spend(users.timed, grant), true)
	},
	async 'grant: expiry'() {
		const grants = [await win(users.expiry, { grantType: 'TIME_BASED', validForSeconds: 2 }), await win(users.expiry, { validForSeconds: 2 })]
		assert.equal(await spend(users.expiry, grants[0]), true)
		await wait(3100)
		for (const grant of grants) assert.equal(await spend(users.expiry, grant), false)
	},
	async 'grant: wrong user'() {
		const grant = await win(users.wronged)
		assert.equal(await spend(users.plain, grant), false)
		assert.equal(await spend({ id: task.unknown }, grant), false)
		assert.equal(await spend(users.wronged, grant), true, 'a refusal has spent it')
	},
	async 'grant: wrong action'() {
		const grant = await win(users.acting)
		assert.equal(await spend(users.acting, grant, { actionType: other }), false)
		assert.equal(await spend(users.acting, grant), true, 'a refusal has spent it')
	},
	async 'grant: any string is an action type'() {
		const grant = await win(users.spaced, { actionType: task.spaced })
		for (const near of [action, task.spaced + ' ', task.spaced.toUpperCase()])
			assert.equal(await spend(users.spaced, grant, { actionType: near }), false)
		assert.equal(await spend(users.spaced, grant, { actionType: task.spaced }), true)
	},
	async 'grant: never made'() {
		assert.equal(await spend(users.plain, 'sug_' + 'A'.repeat(43)), false)
		assert.equal(await spend(users.plain, 'x'), false)
	},
	async 'grant: a refusal is at least 400'() {
		const r = await raw('/api/backend/v1/mfa/step-up/verify-grant', { action_type: action, user_id: users.plain.id, grant: 'x' })
		assert.equal(r.status, 400)
		assert.equal((await r.json()).field_errors.grant, 'grant_not_found')
	},
	async 'UserNotFoundException'() {
		await throws(auth.verifyStepUpTotpChallenge({ code: '123456', ...prove({ id: task.unknown }) }), sdk.UserNotFoundException)
	},
	async 'MfaNotEnabledException'() {
		await throws(auth.verifyStepUpTotpChallenge({ code: '123456', ...prove({ id: task.unenrolled }) }), sdk.MfaNotEnabledException)
	},
	async 'IncorrectMfaCodeException'() {
		await throws(auth.verifyStepUpTotpChallenge({ code: wrongCode(users.mistaken), ...prove(users.mistaken) }), sdk.IncorrectMfaCodeException)
	},
	async 'IncorrectMfaCodeException: used code'() {
		const code = await codeOf(users.mistaken)
		await auth.verifyStepUpTotpChallenge({ code, ...prove(users.mistaken) })
		await throws(auth.verifyStepUpTotpChallenge({ code, ...prove(users.mistaken) }), sdk.IncorrectMfaCodeException)
	},
	async 'InvalidRequestFieldsException'() {
		for (const [field, change] of [
			['grant_type', { grantType: 'FOREVER' }], ['grant_type', { grantType: undefined }],
			['valid_for_seconds', { validForSeconds: 0 }], ['valid_for_seconds', { validForSeconds: -1 }],
			['valid_for_seconds', { validForSeconds: 1e9 }], ['valid_for_seconds', { validForSeconds: 1.5 }],
			['action_type', { actionType: 'not\nan action' }], ['action_type', { actionType: 'step_up.manage' }],
			['user_id', { userId: '' }], ['user_id', { userId: 'x'.repeat(257) }], ['code', { code: '' }],
		]) {
			const e = await throws(auth.verifyStepUpTotpChallenge({ code: '123456', ...prove(users.plain), ...change }), sdk.InvalidRequestFieldsException)
			assert.equal(typeof e.errorBody.field_errors?.[field], 'string', `${field}: ${JSON.stringify(e.errorBody)}`)
			assert.equal(typeof e.errorBody.user_facing_error, 'string')
		}
	},
	async 'BadRequestException'() {
		const e = await throws(auth.verifyStepUpGrant({ actionType: 'not\nan action', userId: users.plain.id, grant: 'x' }), sdk.BadRequestException)
		assert.equal(typeof e.fieldToErrors.field_errors.action_type, 'string')
	},
	async 'UnauthorizedException'() {
		for (const call of [
			() => raw('/api/v1/token_verification_metadata', undefined, 'wrong'),
			() => raw(`/api/backend/v1/user/${users.plain.id}/mfa`, undefined, 'wrong'),
			() => raw('/api/backend/v1/mfa/step-up/verify-grant', {}, 'wrong'),
		]) {
			const r = await call()
			assert.equal(r.status, 401)
			await r.json()
		}
		const stranger = sdk.initBaseAuth({
			authUrl: 'https://auth.example.com', apiKey: 'wrong',
			manualTokenVerificationMetadata: { verifierKey: publicKey, issuer: 'x' },
		})
		await throws(stranger.verifyStepUpTotpChallenge({ code: '123456', ...prove(users.plain) }), sdk.UnauthorizedException)
		await throws(stranger.verifyStepUpGrant({ actionType: action, userId: users.plain.id, grant: 'x' }), sdk.UnauthorizedException)
		await throws(stranger.sendSmsMfaCode({ mfaPhoneId: task.unknown, ...prove(users.plain) }), sdk.UnauthorizedException)
		await throws(stranger.verifySmsChallenge({ challengeId: 'x', userId: users.plain.id, code: '123456' }), sdk.UnauthorizedException)
		for (const call of [stranger.fetchUserMfaMethods, stranger.disableUser2fa]) {
			assert.match((await throws(call(users.plain.id), Error)).message, /integrationApiKey is incorrect/)
		}
	},
	async 'lockout'() {
		const user = users.locked
		for (let n = 0; n < 5; n++) {
			await throws(auth.verifyStepUpTotpChallenge({ code: wrongCode(user), ...prove(user) }), sdk.IncorrectMfaCodeException)
		}
		// The right one too; for this call the package has no type of its own.
		await throws(auth.verifyStepUpTotpChallenge({ code: await codeOf(user), ...prove(user) }), sdk.UnexpectedException)
		const r = await raw('/api/backend/v1/mfa/step-up/verify-totp', {
			action_type: action, user_id: user.id, code: await codeOf(user), grant_type: 'ONE_TIME_USE', valid_for_seconds: 60,
		})
		assert.equal(r.status, 429)
		assert.match(r.headers.get('Retry-After') ?? '', /^[1-9]\d*$/)
		await r.json()
	},
	async 'scopes: a key for another action'() {
		const bare = open(task.bare)
		await throws(bare.verifyStepUpTotpChallenge({ code: await codeOf(users.plain), ...prove(users.plain) }), sdk.UnexpectedException)
	},
	async 'scopes: a key that may not reset'() {
		assert.match((await throws(open(task.bare).disableUser2fa(users.plain.id), Error)).message, /Unknown error/)
		assert.deepEqual(await auth.fetchUserMfaMethods(users.plain.id), { mfaSetup: { type: 'Totp' } })
	},
	async 'ids: not a UUID'() {
		// The package asks for methods by UUID only: alias is what stands for name.
		const { alias, name, secret } = users.named
		assert.equal(await auth.fetchUserMfaMethods(name), null)
		assert.deepEqual(await auth.fetchUserMfaMethods(alias), { mfaSetup: { type: 'Totp' } })
		// The same user by either, and both ways round.
		for (const [asker, spender] of [[alias, name], [name, alias]]) {
			const code = await codeOf({ id: name, secret })
			const { stepUpGrant } = await auth.verifyStepUpTotpChallenge({ ...prove({ id: asker }), code })
			assert.equal(await spend({ id: spender }, stepUpGrant), true)
			assert.equal(await spend({ id: asker }, stepUpGrant), false)
		}
	},
	async 'sms'() {
		const { mfaSetup } = await auth.fetchUserMfaMethods(task.sms.id)
		const mfaPhoneId = Object.values(mfaSetup.phoneNumbers)[0].mfaPhoneId
		const before = (await outbox()).length
		const send = () => auth.sendSmsMfaCode({ mfaPhoneId, ...prove(task.sms) })
		// The code of the enrolment may have been sent a moment ago.
		const first = await send().catch(e => e)
		if (first instanceof sdk.RateLimitedException) await wait(10500)
		const { challengeId } = first.challengeId ? first : await send()
		assert.equal(typeof challengeId, 'string')
		const code = await message(before)
		const wrong = code === '000000' ? '111111' : '000000'
		const e = await throws(auth.verifySmsChallenge({ challengeId, userId: task.sms.id, code: wrong }), sdk.BadRequestException)
		assert.equal(typeof e.fieldToErrors.field_errors.code, 'string')
		await throws(auth.verifySmsChallenge({ challengeId, userId: users.plain.id, code }), sdk.BadRequestException)
		const { stepUpGrant } = await auth.verifySmsChallenge({ challengeId, userId: task.sms.id, code })
		await throws(auth.verifySmsChallenge({ challengeId, userId: task.sms.id, code }), sdk.BadRequestException)
		assert.equal(await spend(task.sms, stepUpGrant), true)
		assert.equal(await spend(task.sms, stepUpGrant), false)
		// Another one at once is too soon.
		await throws(send(), sdk.RateLimitedException)
		await throws(auth.sendSmsMfaCode({ mfaPhoneId: task.unknown, ...prove(task.sms) }), sdk.BadRequestException)
	},
	async 'disable'() {
		assert.equal(await auth.disableUser2fa(task.unknown), false)
		assert.equal(await auth.disableUser2fa(users.leaving.id), true)
		assert.deepEqual(await auth.fetchUserMfaMethods(users.leaving.id), { mfaSetup: null })
		await throws(auth.verifyStepUpTotpChallenge({ code: await codeOf(users.leaving), ...prove(users.leaving) }), sdk.MfaNotEnabledException)
	},
	async 'nothing falls through'() {
		for (const [path, body] of [['/', undefined], ['/api/backend/v1/mfa/step-up/nothing', {}], ['/api/backend/v1/user/', undefined]]) {
			const r = await raw(path, body)
			assert.equal(r.status, 404, path)
			assert.match(r.headers.get('Content-Type') ?? '', /^application\/json/)
			await r.json()
		}
	},
}

for (const [check, run] of Object.entries(checks)) {
	let wrong = ''
	try {
		await run()
	} catch (e) {
		wrong = e.stack ?? String(e)
	}
	console.log(JSON.stringify({ check, wrong }))
}
