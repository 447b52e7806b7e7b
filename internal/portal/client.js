// Step-up for pages that call their server by fetch or XMLHttpRequest. Optional;
// load it before the application's own scripts.
// A call that is answered "first prove who you are" (RFC 9470) opens a dialog,
// which opens the challenge in a window of its own: no code is typed into this
// page. Once passed, the call is sent again. On cancel, or where its body is a
// stream, the application gets the answer as it was.
(() => {
  'use strict'
  const realFetch = window.fetch, RealXHR = window.XMLHttpRequest
  // The gateway fills these in: the sentences by language, the name and colors.
  const words = /*words*/{}, brand = /*brand*/{}
  const asking = new Map() // by action type: resolves to whether it was passed

  const refused = (status, type) => status === 401 && /^application\/problem\+json\b/i.test(type || '')

  // What to prove, where an answer asks for that with pages of this site.
  function challengeIn(text, base) {
    try {
      const p = JSON.parse(text)
      const [page, api, from] = [p.verify_url, p.api_url, ''].map(u => new URL(u, base || location.href))
      return p.code === 'insufficient_user_authentication' && [page, api, from].every(u => u.origin === location.origin) &&
        { action: String(p.action_type), label: String(p.action_label || p.action_type), once: p.grant_type === 'ONE_TIME_USE', page: page.href, api: api.href }
    } catch { return null }
  }

  // Sends again what met a challenge. Calls for one action share a dialog; of a
  // one-time grant the first has the use, and the next asks anew.
  async function prove(answer, read, send) {
    for (;;) {
      const c = await read(answer)
      if (!c) return answer
      const other = asking.get(c.action)
      if (other) {
        if (!await other) return answer
        answer = await send()
        continue
      }
      let tell, passed = false
      asking.set(c.action, new Promise(resolve => { tell = resolve }))
      const release = () => { if (tell) { asking.delete(c.action); tell(passed); tell = null } }
      try {
        passed = await ask(c)
        if (!c.once) release()
        return passed ? await send() : answer
      } finally { release() }
    }
  }

  // Tells whether the challenge is over, or the person cancelled. Every CSP allows
  // styles that are set so.
  function ask(c) {
    const add = (to, tag, text, css, more) => {
      const e = Object.assign(document.createElement(tag), { textContent: text }, more)
      e.style.cssText = css
      return to.appendChild(e)
    }
    const lang = [document.documentElement.lang, ...navigator.languages].map(l => l.slice(0, 2).toLowerCase()).find(l => words[l]) || 'en'
    const say = words[lang]
    // By day and by night; the first of two is for browsers without light-dark().
    const both = (name, day, night) => `${name}:${day};${name}:light-dark(${day},${night});`
    const text = both('color', '#1b1f24', '#e6eaef'), soft = both('color', '#57606a', '#a0aab5')
    const press = 'display:inline-block;margin:0;padding:.5625rem 1.25rem;border:1px solid;border-radius:.375rem;font:600 1rem/1.5 system-ui,sans-serif;text-decoration:none;cursor:pointer;'
    const box = add(document.body, 'dialog', '', 'color-scheme:light dark;box-sizing:border-box;width:26rem;max-width:calc(100vw - 2rem);margin:auto;padding:1.5rem;border-radius:.75rem;' +
      'font:1rem/1.5 system-ui,sans-serif;text-align:start;overflow-wrap:anywhere;' + text + both('background', '#fff', '#171b21') + both('border', '1px solid #7b8591', '1px solid #76818e'), { lang, dir: say.dir })
    const head = add(box, 'p', '', 'margin:0 0 1rem;font-size:.875rem;' + soft)
    if (brand.name) add(head, 'bdi', brand.name, 'font-weight:600;margin-inline-end:.5rem;' + text)
    add(head, 'bdi', location.host, '', { dir: 'ltr' })
    box.setAttribute('aria-labelledby', add(box, 'h2', say.title, 'margin:0 0 .5rem;font:700 1.25rem/1.3 system-ui,sans-serif;' + text, { id: 'step-up-title' }).id)
    add(box, 'p', say.text, 'margin:0 0 .75rem;' + text)
    add(box, 'p', c.label, 'margin:0 0 1.25rem;padding:.625rem 1rem;border-radius:.25rem;font-size:1.125rem;font-weight:700;' + text + both('background', '#f2f5f9', '#1f252d'), { dir: 'auto' })
    const buttons = add(box, 'p', '', 'display:flex;flex-wrap:wrap;gap:.75rem;margin:0')
    // A link: a browser that opens no windows for us still opens a tab.
    const open = add(buttons, 'a', say.confirm, press + both('color', ...brand.on) + both('background', ...brand.accent) + both('border-color', ...brand.accent), { href: c.page, target: '_blank', autofocus: true })
    add(buttons, 'button', say.cancel, press + text + 'background:transparent;' + both('border-color', '#7b8591', '#76818e'), { type: 'button', onclick: () => box.close() })

    return new Promise(resolve => {
      let timer, passed = false
      // What is over is gone; sending the call again tells how it ended.
      const look = async () => {
        clearTimeout(timer)
        try {
          const { status } = await realFetch(c.api, { cache: 'no-store' })
          passed ||= status === 404 || status === 410
        } catch { /* offline */ }
        if (passed) box.close()
        else if (box.open) timer = setTimeout(look, 1000)
      }
      open.onclick = e => {
        if (window.open(c.page, '_blank', 'popup,width=480,height=760')) e.preventDefault()
        look()
      }
      addEventListener('focus', look)
      box.onclose = () => { // also by Escape; the focus goes back by itself
        clearTimeout(timer)
        removeEventListener('focus', look)
        box.remove()
        resolve(passed)
      }
      box.showModal()
    })
  }

  window.fetch = async (input, init) => {
    const copy = input instanceof Request && !input.bodyUsed ? input.clone() : null
    const first = await realFetch(input, init)
    if (init?.body instanceof ReadableStream) return first
    const read = async r => refused(r.status, r.headers.get('Content-Type')) && challengeIn(await r.clone().text(), r.url)
    return prove(first, read, () => realFetch(copy?.clone() ?? input, init))
  }

  // Keeps events of such answers back; synchronous calls are left alone.
  window.XMLHttpRequest = class extends RealXHR {
    #call = []; #headers; #body; #again

    constructor() {
      super()
      for (const type of ['readystatechange', 'progress', 'load', 'loadend']) this.addEventListener(type, e => this.#hear(e))
    }
    open(...call) {
      [this.#call, this.#headers] = [call, []]
      super.open(...call)
    }
    setRequestHeader(...header) {
      super.setRequestHeader(...header)
      this.#headers.push(header)
    }
    send(body) { super.send(this.#body = body) }
    abort() { this.#call = []; super.abort() }
    #refused() { return refused(this.status, this.getResponseHeader('Content-Type')) }
    #hear(e) {
      if (!e.isTrusted || this.#call.length < 2 || this.#call[2] === false) return
      if (this.readyState < 2 ? this.#again : this.#refused()) e.stopImmediatePropagation()
      if (e.type !== 'loadend') return
      if (this.#again) this.#again(this)
      else if (this.#refused()) this.#prove(this.#call)
    }
    async #prove(call) {
      const held = () => this.#call === call && this.#refused()
      const text = async () => this.responseType === 'json' ? JSON.stringify(this.response) : new Response(this.response).text()
      await prove(this, async () => held() && challengeIn(await text(), this.responseURL), () => new Promise(resolve => {
        if (!held()) return resolve()
        this.#again = resolve
        super.open(...call)
        for (const header of this.#headers) super.setRequestHeader(...header)
        super.send(this.#body)
      }))
      this.#again = null
      if (held()) for (const type of ['readystatechange', 'load', 'loadend']) this.dispatchEvent(new ProgressEvent(type))
    }
  }
})()
