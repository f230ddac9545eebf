// What pages do by themselves: relative times go on, texts can be copied, menus close.

const MINUTE = 60, HOUR = 3600, DAY = 86400

// The same words as tagboat/web/durations.py.
export function age(seconds) {
  const whole = Math.max(0, Math.floor(seconds))
  if (whole < MINUTE) return `${whole} s`
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min`
  if (whole < DAY) return `${Math.floor(whole / HOUR)} h`
  return `${Math.floor(whole / DAY)} d`
}

function renewTimes() {
  for (const element of document.querySelectorAll("time[datetime]")) {
    const seconds = (Date.now() - new Date(element.dateTime)) / 1000
    // The words after the time stay; an old date stays as the server wrote it.
    const shown = element.textContent.match(/^\d+ (?:s|min|h|d)(?= |$)/)
    if (shown && seconds < 100 * DAY) {
      const text = age(seconds) + element.textContent.slice(shown[0].length)
      if (text !== element.textContent) element.textContent = text
    }
  }
}

function prepare() {
  // Browsers let only pages behind HTTPS, and those of this machine, copy.
  if (navigator.clipboard) {
    for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false
  }
}

// In the reader's own time once they point at it: for all times of a page at once, it would take
// longer than anything else before the page is shown.
document.addEventListener("pointerover", event => {
  const time = event.target.closest("time[datetime]")
  if (time) time.title = new Date(time.dateTime).toLocaleString()
})

document.addEventListener("click", async event => {
  const button = event.target.closest("[data-copy]")
  if (button) {
    await navigator.clipboard.writeText(button.dataset.copy)
    const text = button.querySelector("span")
    text.textContent = "Copied"
    setTimeout(() => { text.textContent = "Copy" }, 1500)
  }
  for (const open of document.querySelectorAll("details.menu[open]")) {
    if (!open.contains(event.target)) open.open = false
  }
})

document.addEventListener("keydown", event => {
  if (event.key !== "Escape") return
  const open = document.querySelector("details.menu[open]")
  if (open) {
    open.open = false
    open.querySelector("summary").focus()
  }
})

// Filters act as they are typed in; without JavaScript there is a button.
document.addEventListener("change", event => {
  if (event.target.matches("form[data-filter] select")) event.target.form.requestSubmit()
})

document.addEventListener("htmx:afterSettle", prepare)
prepare()
setInterval(() => { if (!document.hidden) renewTimes() }, 10000)
