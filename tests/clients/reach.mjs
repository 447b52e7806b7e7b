// Prints what can be reached from where it runs: for each address among its
// arguments the answer's status and text, or why there is none.
const answers = await Promise.all(process.argv.slice(2).map(async url => {
	try {
		const r = await fetch(url, { signal: AbortSignal.timeout(5000) })
		return { status: r.status, text: await r.text() }
	} catch (e) {
		return { error: e.cause?.code ?? e.name }
	}
}))
console.log(JSON.stringify(answers))
