// Keeps an open page up to date: after an event the page is read again, and <main> takes over
// what has changed. At most twice a second, not while the tab is hidden, and never over what
// somebody is typing.

const LEAST_MS = 500
const RECONNECT_MS = 3000

let stream = null
let lastId = ""
let timer = 0
let reading = false
let again = false
let restUntil = 0
let signedOut = false

function connect() {
  const main = document.querySelector("main[data-live]")
  if (!main || stream || signedOut || document.hidden) return
  const address = new URL(main.dataset.live, location.href)
  if (lastId) address.searchParams.set("after", lastId)
  stream = new EventSource(address)
  const topics = address.searchParams.getAll("topic")
  for (const topic of [...topics, "reset"]) {
    stream.addEventListener(topic, event => {
      lastId = event.lastEventId
      readSoon()
    })
  }
  stream.addEventListener("error", () => {
    // The browser connects again by itself, unless the answer was not a stream: signed out, or
    // the server is being restarted.
    if (stream && stream.readyState === EventSource.CLOSED) {
      disconnect()
      setTimeout(() => { readSoon(); connect() }, RECONNECT_MS)
    }
  })
}

function disconnect() {
  if (stream) stream.close()
  stream = null
}

function readSoon() {
  if (reading) again = true
  else if (!timer) timer = setTimeout(read, Math.max(0, restUntil - performance.now()))
}

async function read() {
  timer = 0
  reading = true
  again = false
  const began = performance.now()
  try {
    const answer = await fetch(location.href, { headers: { "X-Tagboat-Live": "1" } })
    // Signed out: the page for signing in is a page of its own. What somebody has typed stays:
    // once it is sent, the server keeps it and asks them to sign in.
    signedOut = answer.redirected
    if (signedOut && ![...document.forms].some(isTouched)) location.reload()
    else if (signedOut) disconnect()
    else if (answer.ok || answer.status === 404) {
      const text = await answer.text()
      if (!window.Idiomorph) await loadMorphing()
      update(text)
    }
  } catch {
    // The server is away; the stream says when it is back.
  }
  // A slow server, or a page that takes long to make, is asked less often.
  const took = performance.now() - began
  restUntil = performance.now() + Math.max(LEAST_MS - took, took * 2)
  reading = false
  if (again) readSoon()
}

// Pages that ask for parts of themselves have both; others do not need them before this.
async function loadMorphing() {
  for (const name of ["htmx.min.js", "idiomorph-ext.min.js"]) {
    await new Promise((done, failed) => {
      const script = document.createElement("script")
      script.src = new URL(`vendor/${name}`, import.meta.url)
      script.addEventListener("load", done)
      script.addEventListener("error", failed)
      document.head.append(script)
    })
  }
}

function update(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html")
  const main = document.querySelector("main")
  const wanted = fresh.querySelector("main")
  if (!main || !wanted) return
  document.title = fresh.title
  Idiomorph.morph(main, wanted, {
    morphStyle: "outerHTML",
    ignoreActiveValue: true,
    callbacks: { beforeNodeMorphed: keepsTyped },
  })
  htmx.process(document.querySelector("main"))
  document.dispatchEvent(new CustomEvent("htmx:afterSettle"))
  // The page may be about other things now, or final.
  if (stream && document.querySelector("main").dataset.live === undefined) disconnect()
}

// Idiomorph asks before it changes a node: what somebody has typed, ticked, opened or scrolled
// stays as it is.
function keepsTyped(node, fresh) {
  if (!(node instanceof Element)) return true
  if (node.closest("[data-keep]")) return false
  if (node instanceof HTMLFormElement && isTouched(node)) return false
  if (node instanceof HTMLDetailsElement) fresh.open = node.open
  return true
}

function isTouched(form) {
  return [...form.elements].some(field => {
    if (field.type === "hidden") return false
    if (field.type === "checkbox" || field.type === "radio") {
      return field.checked !== field.defaultChecked
    }
    if (field instanceof HTMLSelectElement) {
      const given = [...field.options].some(option => option.defaultSelected)
      return given && [...field.options].some(one => one.selected !== one.defaultSelected)
    }
    return "defaultValue" in field && field.value !== field.defaultValue
  })
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) disconnect()
  else {
    // They may have signed in again elsewhere.
    signedOut = false
    connect()
  }
})
addEventListener("pagehide", disconnect)
addEventListener("pageshow", connect)
connect()
