// The application: it knows nothing of step-ups. Notes are added by fetch and
// deleted by XMLHttpRequest, as old and new code in one page do.
const say = text => { document.getElementById('status').textContent = text }

async function show() {
  const notes = await (await fetch('/api/notes')).json()
  document.getElementById('notes').replaceChildren(...notes.map(note => {
    const item = document.createElement('li')
    const button = document.createElement('button')
    button.textContent = 'Delete ' + note.text
    button.onclick = () => remove(note)
    item.append(note.text, ' ', button)
    return item
  }))
}

document.getElementById('add').onsubmit = async event => {
  event.preventDefault()
  const text = document.getElementById('text').value
  const answer = await fetch('/api/notes', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ text })
  })
  say(answer.ok ? 'Added ' + text : 'Not added: ' + answer.status)
  show()
}

function remove(note) {
  const call = new XMLHttpRequest()
  call.open('DELETE', '/api/notes/' + note.id)
  call.onload = () => {
    say(call.status === 204 ? 'Deleted ' + note.text : 'Not deleted: ' + call.status)
    show()
  }
  call.send()
}

show()
