// The only script of the pages. Everything works without it but passkeys, which
// browsers give to scripts only. It loads and sends nothing: it fills in forms
// and submits them. All words stand in the page. A line "For" begins a
// part that only pages with such an attribute have.
(() => {
	'use strict'
	const all = (selector, within = document) => [...within.querySelectorAll(selector)]
	const id = name => document.getElementById(name)
	const show = (e, visible = true) => { if (e) e.hidden = !visible }

	all('[data-script]').forEach(e => show(e))
	all('[data-plain]').forEach(e => show(e, false))

	// A form is sent once, however often it is clicked; again where no answer came.
	let sent = new WeakSet()
	addEventListener('submit', e => {
		if (e.defaultPrevented) return
		if (sent.has(e.target)) e.preventDefault()
		sent.add(e.target)
		setTimeout(() => sent.delete(e.target), 8000)
	})
	addEventListener('pageshow', () => { sent = new WeakSet() })

	// For data-digits
	// A code is sent when it is complete. Blanks are for reading only, and digits
	// may come from another keyboard.
	const ascii = text => text.normalize('NFKC').replace(/[\u0660-\u0669\u06f0-\u06f9]/g, c => c.charCodeAt(0) & 15)
	all('input[data-digits]').forEach(field => field.addEventListener('input', e => {
		const digits = ascii(field.value).replace(/[\s-]/g, '')
		if (e.isComposing || digits.length !== +field.dataset.digits || /\D/.test(digits)) return
		field.value = digits
		field.form.requestSubmit()
	}))

	// For data-seconds
	// What has to be waited for counts down; then what was waited for comes back.
	all('[data-seconds]').forEach(timer => {
		const end = performance.now() + timer.dataset.seconds * 1000
		const holder = timer.closest('[data-then]')
		const tick = () => {
			const left = Math.ceil((end - performance.now()) / 1000)
			if (left > 0) {
				timer.textContent = Math.floor(left / 60) + ':' + String(left % 60).padStart(2, '0')
				return
			}
			clearInterval(running)
			show(holder, false)
			const then = holder && id(holder.dataset.then)
			show(then)
			if (then && then.href) location.replace(then.href)
		}
		const running = setInterval(tick, 500)
		tick()
	})

	// For data-seen
	// What a form was answered with is seen again without sending the form again.
	all('[data-seen]').forEach(e => history.replaceState(null, '', e.dataset.seen))

	// For data-opens data-opened
	// One proof answers every window that asks for the same.
	const windows = window.BroadcastChannel && new BroadcastChannel('step-up')
	if (windows) {
		all('[data-opened]').forEach(e => windows.postMessage(e.dataset.opened))
		all('[data-opens]').forEach(e => windows.addEventListener('message', told => {
			if (told.data === e.dataset.opens) location.replace(e.dataset.self)
		}))
	}

	// For data-passkey data-if-passkey
	// Passkeys (WebAuthn Level 3, section 5.1). The credential goes into the form.
	const passkeys = window.PublicKeyCredential && PublicKeyCredential.parseRequestOptionsFromJSON && navigator.credentials
	all('form[data-passkey]').forEach(form => {
		const button = form.querySelector('[data-waiting]')
		if (!passkeys) {
			show(form.querySelector('[data-unsupported]'))
			show(button, false)
			return
		}
		const words = button.textContent
		const create = form.dataset.passkey === 'create'
		const ask = async () => {
			all('.error', form).forEach(e => show(e, false))
			button.disabled = true
			button.textContent = button.dataset.waiting
			try {
				const json = JSON.parse(form.dataset.options)
				const given = json.publicKey || json
				const credential = await (create
					? navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(given)})
					: navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(given)}))
				form.elements.code.value = JSON.stringify(credential.toJSON())
				form.requestSubmit()
			} catch (e) {
				show(form.querySelector(e.name === 'InvalidStateError' ? '[data-known]' : '[data-failed]'))
				button.disabled = false
				button.textContent = words
				button.focus()
			}
		}
		form.addEventListener('submit', e => {
			if (form.elements.code.value) return
			e.preventDefault()
			ask()
		}, true)
		button.focus()
	})
	if (passkeys) {
		all('[data-if-passkey]').forEach(e => {
			show(e)
			if ('first' in e.dataset) e.querySelector('input').checked = true
		})
	}

	// For data-once
	// A browser keeps whole pages for its back button, "no-store" or not, and
	// whoever sits down next would see what was shown once. It goes with the page,
	// and where that comes back it leads on.
	addEventListener('pagehide', () => all('[data-once]').forEach(e => e.replaceChildren()))
	addEventListener('pageshow', e => {
		const [once] = all('[data-once]')
		if (e.persisted && once) location.replace(once.dataset.once)
	})

	// For data-copy data-download data-print
	// Copying, saving and printing what is shown once.
	const lines = name => {
		const items = all('li', id(name))
		return items.length ? items.map(e => e.textContent).join('\n') : id(name).textContent.replace(/\s/g, '')
	}
	all('[data-copy]').forEach(button => button.addEventListener('click', async () => {
		const said = button.parentElement.querySelector('[data-done]')
		try {
			await navigator.clipboard.writeText(lines(button.dataset.copy))
			said.textContent = said.dataset.done
		} catch {
			getSelection().selectAllChildren(id(button.dataset.copy))
		}
	}))
	all('[data-download]').forEach(button => button.addEventListener('click', () => {
		const text = id(button.dataset.about).textContent + '\n\n' + lines(button.dataset.download) + '\n'
		const link = document.createElement('a')
		link.href = URL.createObjectURL(new Blob([text], {type: 'text/plain'}))
		link.download = button.dataset.file
		link.click()
		setTimeout(() => URL.revokeObjectURL(link.href), 60000)
	}))
	all('[data-print]').forEach(button => button.addEventListener('click', () => print()))

	// For all
	// The language changes by itself where it was picked with a pointer; whoever
	// goes through the list by keys presses the button.
	const language = id('language')
	if (language) {
		let keys = false
		language.addEventListener('keydown', () => { keys = true })
		language.addEventListener('pointerdown', () => { keys = false })
		language.addEventListener('change', () => keys || language.form.requestSubmit())
	}
})()
