// The log of a page: thousands of lines in a window of few elements. It follows what is written
// until somebody scrolls up, and again at the end. Lines are texts, never markup.

const KEPT = 20000 // lines in memory
const SHOWN = 1500 // elements on the page
const STEP = 500 // elements that are added at one edge and removed at the other
const NEAR_PX = 600

const list = document.querySelector("[data-log]")
const form = document.querySelector(".logtools")
const newer = document.querySelector("[data-newer]")
const follow = document.querySelector("[data-follow]")
const found = document.querySelector("[data-found]")

// Lines have numbers that never change; `base` is that of lines[0]. On the page are from..to.
let lines = []
let base = 0
let from = 0
let to = 0
let following = Boolean(list?.dataset.log)
let unread = 0
let drawing = 0
let drawMs = 0
const opened = list?.dataset.now ?? ""
let last = { top: 0, height: 0 }
let wanted = ""
let hits = []
let hit = -1

const end = () => base + lines.length

function readPage() {
  for (const element of list.querySelectorAll(".ln")) {
    const texts = [...element.querySelector(".tx").childNodes].map(node => [
      node.textContent, node.className ?? "",
    ])
    lines.push({ at: element.dataset.at ?? null, texts })
  }
}

function plain(line) {
  line.plain ??= line.note ?? line.texts.map(part => part[0]).join("")
  return line.plain
}

function two(number, length = 2) {
  return String(number).padStart(length, "0")
}

function clock(at) {
  const then = new Date(at)
  return `${two(then.getHours())}:${two(then.getMinutes())}:${two(then.getSeconds())}.` +
    two(then.getMilliseconds(), 3)
}

function elementOf(number) {
  const line = lines[number - base]
  const row = document.createElement("div")
  row.className = line.note ? "ln note" : "ln"
  if (hits.length && number === hits[hit]) row.classList.add("hit")
  const at = document.createElement("span")
  at.className = "at"
  if (line.at) {
    at.textContent = clock(line.at)
    at.title = line.at
  }
  const text = document.createElement("span")
  text.className = "tx"
  text.dir = "auto"
  if (line.note) text.textContent = line.note
  else if (wanted && plain(line).toLowerCase().includes(wanted)) markInto(text, line)
  else fillInto(text, line.texts)
  row.append(at, text)
  return row
}

function fillInto(text, parts) {
  for (const [part, look] of parts) {
    if (look) {
      const span = document.createElement("span")
      span.className = look
      span.textContent = part
      text.append(span)
    } else text.append(part)
  }
}

// Parts are cut where a match begins or ends, so that colours stay.
function markInto(text, line) {
  const whole = plain(line).toLowerCase()
  const cuts = []
  for (let at = whole.indexOf(wanted); at >= 0; at = whole.indexOf(wanted, at + wanted.length)) {
    cuts.push([at, at + wanted.length])
  }
  let at = 0
  for (const [part, look] of line.texts) {
    let done = 0
    while (done < part.length) {
      const place = at + done
      const cut = cuts.find(one => one[1] > place)
      const inside = cut && cut[0] <= place
      const until = Math.min(part.length, cut ? (inside ? cut[1] : cut[0]) - at : part.length)
      const piece = part.slice(done, until)
      if (inside) {
        const mark = document.createElement("mark")
        mark.className = look
        mark.textContent = piece
        text.append(mark)
      } else fillInto(text, [[piece, look]])
      done = until
    }
    at += part.length
  }
}

function rows(first, until) {
  const fragment = document.createDocumentFragment()
  for (let number = first; number < until; number += 1) fragment.append(elementOf(number))
  return fragment
}

function drawAll(first, until) {
  from = Math.max(base, first)
  to = Math.min(end(), until)
  list.replaceChildren(rows(from, to))
}

function drop(first, count) {
  for (let number = 0; number < count; number += 1) {
    (first ? list.firstElementChild : list.lastElementChild)?.remove()
  }
  if (first) from += count
  else to -= count
}

// What is above what is read may change its height; what is read stays where it is.
function staying(change) {
  const before = list.scrollHeight - list.scrollTop
  change()
  list.scrollTop = list.scrollHeight - before
}

function extendUp() {
  const first = Math.max(base, from - STEP)
  if (first === from) return
  staying(() => {
    list.prepend(rows(first, from))
    from = first
  })
  if (to - from > SHOWN) drop(false, to - from - SHOWN)
}

function extendDown() {
  const until = Math.min(end(), to + STEP)
  if (until === to) return
  list.append(rows(to, until))
  to = until
  if (to - from > SHOWN) staying(() => drop(true, to - from - SHOWN))
}

function draw() {
  const began = performance.now()
  drawing = 0
  document.querySelector("[data-empty]")?.toggleAttribute("hidden", lines.length > 0)
  // Lines that were forgotten leave the page as well.
  if (from < base) staying(() => drop(true, Math.min(base, to) - from))
  if (to < base) drawAll(base, base + SHOWN)
  if (following) {
    if (end() - to > SHOWN) drawAll(end() - SHOWN, end())
    else while (to < end()) extendDown()
    list.scrollTop = list.scrollHeight
    unread = 0
  } else if (to - from < STEP) extendDown()
  remember()
  newer.hidden = following || unread === 0
  newer.textContent = `${unread.toLocaleString()} new ${unread === 1 ? "line" : "lines"} ↓`
  drawMs = performance.now() - began
}

function remember() {
  last = { top: list.scrollTop, height: list.scrollHeight }
}

// Two thirds of the time stay for reading: else a page falls behind a burst of lines.
function drawSoon() {
  drawing ||= setTimeout(() => requestAnimationFrame(draw), 2 * drawMs)
}

function add(line) {
  // A browser that connects again and again hears the same sentence each time.
  if (line.note && lines.at(-1)?.note === line.note) return
  lines.push(line)
  if (lines.length > KEPT) {
    lines.splice(0, STEP)
    base += STEP
    hits = hits.filter(number => number >= base)
  }
  if (wanted && plain(line).toLowerCase().includes(wanted)) {
    hits.push(end() - 1)
    sayHits()
  }
  // Those that were there before the page are not news.
  if (!following && (!line.at || line.at > opened)) unread += 1
  drawSoon()
}

function forget() {
  lines = []
  base = from = to = unread = 0
  hits = []
  hit = -1
  list.replaceChildren()
  remember()
}

// What the page shows is the end of what is `found`, or older than that.
function begin(found) {
  const shown = { from, to, end: end(), last: lines.at(-1), top: list.scrollTop }
  forget()
  for (const line of found) add(line)
  if (wanted) search(wanted)
  else if (!following && shown.last) {
    // Somebody was faster than the server, and reads what is above: it stays where it is.
    const same = lines.findLastIndex(line => {
      return line.at === shown.last.at && plain(line) === plain(shown.last)
    })
    const moved = (same < 0 ? end() : base + same + 1) - shown.end
    drawAll(shown.from + moved, shown.to + moved)
    list.scrollTop = shown.top
    remember()
  }
}

function setFollowing(on) {
  following = on
  follow.setAttribute("aria-pressed", String(on))
  if (on) drawSoon()
}

function connect() {
  const stream = new EventSource(list.dataset.log)
  stream.addEventListener("start", event => begin(JSON.parse(event.data)))
  stream.addEventListener("line", event => add(JSON.parse(event.data)))
  stream.addEventListener("end", () => {
    stream.close()
    add({ note: "The container is gone: its log ends here.", at: null })
  })
  stream.addEventListener("error", () => {
    // The browser connects again by itself, unless the answer was not a stream.
    if (stream.readyState === EventSource.CLOSED) {
      add({ note: "The log is not followed any more: reload the page.", at: null })
    }
  })
  addEventListener("pagehide", () => stream.close())
  addEventListener("pageshow", event => { if (event.persisted) location.reload() })
}

function sayHits() {
  const words = hits.length ? `${hit + 1} of ${hits.length.toLocaleString()}` : "No line matches"
  found.textContent = wanted ? words : ""
  form.querySelector(".hits").hidden = !wanted || hits.length === 0
}

function search(text) {
  wanted = text.toLowerCase()
  hits = []
  if (wanted) {
    lines.forEach((line, place) => {
      if (plain(line).toLowerCase().includes(wanted)) hits.push(base + place)
    })
  }
  hit = hits.length - 1
  if (hits.length) show(hits[hit])
  else drawAll(from, to)
  sayHits()
  if (following) list.scrollTop = list.scrollHeight
}

function show(number) {
  if (!following || number < from) drawAll(number - SHOWN / 2, number + SHOWN / 2)
  else drawAll(from, to)
  if (number < end() - 1) setFollowing(false)
  list.querySelector(".hit")?.scrollIntoView({ block: "center" })
}

function step(by) {
  if (!hits.length) return
  hit = (hit + by + hits.length) % hits.length
  setFollowing(false)
  show(hits[hit])
  sayHits()
}

async function copyAll(button) {
  await navigator.clipboard.writeText(lines.map(plain).join("\n") + "\n")
  const words = button.querySelector("span")
  words.textContent = `Copied ${lines.length.toLocaleString()} lines`
  setTimeout(() => { words.textContent = "Copy" }, 1500)
}

function listen() {
  list.addEventListener("scroll", () => {
    const top = list.scrollTop
    const below = list.scrollHeight - top - list.clientHeight
    if (to === end() && below < 8) {
      if (!following && list.dataset.log && lines.length) setFollowing(true)
    } else if (following && top < last.top && list.scrollHeight === last.height) {
      // Somebody has scrolled: nothing else moves lines up without a change of their height.
      setFollowing(false)
    }
    remember()
    if (top < NEAR_PX) extendUp()
    else if (below < NEAR_PX && !following) extendDown()
  }, { passive: true })
  follow.addEventListener("click", () => setFollowing(!following))
  newer.addEventListener("click", () => {
    setFollowing(true)
    list.focus()
  })
  document.querySelector("[data-copy-log]").addEventListener("click", event => {
    copyAll(event.currentTarget)
  })
  form.addEventListener("submit", event => {
    event.preventDefault()
    step(-1)
  })
  for (const button of form.querySelectorAll("[data-hit]")) {
    button.addEventListener("click", () => step(Number(button.dataset.hit)))
  }
  form.elements.q.addEventListener("input", event => search(event.target.value.trim()))
  for (const [name, look] of [["times", "timed"], ["long", "long"]]) {
    const box = form.elements[name]
    const kept = `tagboat-log-${name}`
    const given = new URLSearchParams(location.search).has(name)
    if (!given && localStorage.getItem(kept)) box.checked = localStorage.getItem(kept) === "1"
    list.classList.toggle(look, box.checked)
    box.addEventListener("change", () => {
      localStorage.setItem(kept, box.checked ? "1" : "0")
      list.classList.toggle(look, box.checked)
      if (following) list.scrollTop = list.scrollHeight
    })
  }
}

if (list) {
  for (const element of document.querySelectorAll("[data-plain]")) element.hidden = true
  list.classList.add("windowed")
  // Browsers let only pages behind HTTPS, and those of this machine, copy.
  document.querySelector("[data-copy-log]").hidden = !navigator.clipboard
  follow.hidden = !list.dataset.log
  readPage()
  to = end()
  drawAll(0, to)
  listen()
  if (form.elements.q.value) search(form.elements.q.value.trim())
  if (following) {
    list.scrollTop = list.scrollHeight
    connect()
  }
}
