// The palette: a field with suggestions (the combobox pattern of ARIA), opened by Ctrl K or `/`.
// An order leads to a page that asks before it is carried out.

const WAIT_MS = 90

const dialog = document.querySelector("[data-palette-dialog]")
const field = dialog?.querySelector("input")
const list = dialog?.querySelector("[role=listbox]")
const command = dialog?.querySelector("[data-command]")
const told = dialog?.querySelector("[role=status]")

let shown = []
let chosen = -1
let asked = 0
let answered = "" // what was typed as the suggestions were made
let pressed = "" // Enter or Tab, which came before the suggestions for what is typed
let timer = 0

export function openPalette(text = "") {
  if (!dialog) return
  if (!dialog.open) dialog.showModal()
  pressed = ""
  field.value = text
  field.focus()
  field.setSelectionRange(text.length, text.length)
  ask()
}

async function ask() {
  clearTimeout(timer)
  const turn = ++asked
  const typed = field.value
  const query = new URLSearchParams({ q: typed })
  try {
    const answer = await fetch(`/find.json?${query}`)
    // Signed out: the page for signing in comes instead.
    if (answer.redirected) location.reload()
    const found = (await answer.json()).suggestions
    // Answers may overtake one another.
    if (turn !== asked) return
    answered = typed
    show(found)
    if (pressed) act(pressed)
  } catch {
    if (turn !== asked) return
    pressed = ""
    told.textContent = "The server does not answer."
  }
}

function show(found) {
  shown = found
  list.replaceChildren(...found.map(optionOf))
  field.setAttribute("aria-expanded", String(found.length > 0))
  told.textContent = found.length
    ? `${found.length} ${found.length === 1 ? "suggestion" : "suggestions"}`
    : "Nothing matches."
  told.classList.toggle("unseen", found.length > 0)
  choose(found.length ? 0 : -1)
}

function optionOf(suggestion, number) {
  const option = document.createElement("li")
  option.id = `palette-${number}`
  option.setAttribute("role", "option")
  option.setAttribute("aria-selected", "false")
  if (suggestion.why_not) option.setAttribute("aria-disabled", "true")
  const title = document.createElement("b")
  title.textContent = suggestion.title
  const detail = document.createElement("span")
  detail.textContent = suggestion.why_not || suggestion.detail
  option.append(title, " ", detail)
  return option
}

function choose(number) {
  list.children[chosen]?.setAttribute("aria-selected", "false")
  chosen = number
  const option = list.children[chosen]
  if (option) {
    option.setAttribute("aria-selected", "true")
    option.scrollIntoView({ block: "nearest" })
    field.setAttribute("aria-activedescendant", option.id)
  } else field.removeAttribute("aria-activedescendant")
  const line = shown[chosen]?.command ?? ""
  command.hidden = !line
  command.querySelector("code").textContent = line
  command.querySelector("[data-copy]").dataset.copy = line
}

function take(number) {
  const suggestion = shown[number]
  if (!suggestion || suggestion.why_not) return
  if (suggestion.path) location.assign(suggestion.path)
  else complete(number)
}

function complete(number) {
  if (!shown[number]) return
  field.value = shown[number].text
  ask()
}

// Who types fast has pressed the key before the server has answered: an older suggestion is not
// what is meant.
function act(key) {
  pressed = answered === field.value ? "" : key
  if (pressed) ask()
  else if (key === "Enter") take(chosen)
  else complete(chosen)
}

function onKey(event) {
  const steps = { ArrowDown: 1, ArrowUp: -1 }
  if (event.key in steps && shown.length) {
    event.preventDefault()
    choose((chosen + steps[event.key] + shown.length) % shown.length)
  } else if (event.key === "Tab" && !event.shiftKey && chosen >= 0 &&
             field.value !== shown[chosen].text || event.key === "Enter") {
    event.preventDefault()
    act(event.key)
  }
}

if (dialog) {
  field.addEventListener("input", () => {
    pressed = ""
    clearTimeout(timer)
    timer = setTimeout(ask, WAIT_MS)
  })
  field.addEventListener("keydown", onKey)
  list.addEventListener("click", event => {
    const option = event.target.closest("[role=option]")
    if (option) {
      take([...list.children].indexOf(option))
      field.focus()
    }
  })
  dialog.addEventListener("close", () => { pressed = "" })
  dialog.addEventListener("click", event => {
    // Beside the panel is the dialog itself.
    if (event.target === dialog) dialog.close()
  })
  document.querySelector("[data-palette]")?.addEventListener("click", event => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    openPalette()
  })
  document.addEventListener("keydown", event => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault()
      openPalette()
    }
  })
}
