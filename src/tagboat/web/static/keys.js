// Keys for rows, logs and orders. None acts while somebody types, and a person can switch them off
// (WCAG 2.2, 2.1.4): other keys, such as Ctrl K, stay.

import { openPalette } from "./palette.js"

const OFF = "tagboat-keys-off"
const ROWS = "main tbody tr, main .now, main .need, main .finds > li"

const dialog = document.querySelector("[data-keys-dialog]")
const box = dialog?.querySelector("input")

function isTyping(element) {
  return element instanceof Element &&
    Boolean(element.closest("input:not([type=checkbox], [type=radio]), textarea, select")) ||
    element?.isContentEditable
}

function linkOf(row) {
  return row.matches("a") ? row : row.querySelector("a[href]")
}

function move(by) {
  const rows = [...document.querySelectorAll(ROWS)].filter(row => linkOf(row))
  if (!rows.length) return
  const now = rows.findIndex(row => row.contains(document.activeElement))
  const next = now < 0 ? (by > 0 ? 0 : rows.length - 1) : now + by
  const link = linkOf(rows[Math.max(0, Math.min(rows.length - 1, next))])
  link.focus()
  link.scrollIntoView({ block: "nearest" })
}

// The stage that a key is about: that of the row in focus, else that of the page. An address says
// which; `data-stage` says it where the address is another one.
function stageHere() {
  const row = document.activeElement?.closest(ROWS)
  const cell = document.activeElement?.closest("[data-stage]")
  if (cell) return cell.dataset.stage.split(" ")
  const links = row ? row.querySelectorAll("a[href]") : document.querySelectorAll(".crumb a")
  const addresses = [...links].map(link => link.pathname)
  if (!row) addresses.unshift(location.pathname)
  for (const address of addresses) {
    const match = address.match(/^\/projects\/([^/]+)\/([^/]+)(?:\/|$)/)
    // `/-/` belongs to the project itself.
    if (match && match[2] !== "-") return [match[1], match[2]].map(decodeURIComponent)
  }
  return null
}

function showLogs() {
  const stage = stageHere()
  const deploy = location.pathname.match(/^\/deploys\/[^/]+$/)
  const row = document.activeElement?.closest(ROWS)
  if (deploy && !row) location.assign(`${location.pathname}/log`)
  else if (stage) location.assign(`/projects/${stage.map(encodeURIComponent).join("/")}/logs`)
  else openPalette("logs ")
}

// An order is never given by a key alone: it is completed or confirmed first.
function begin(words, whole) {
  const stage = stageHere()
  if (!stage || !whole) openPalette(`${words} ${stage ? `${stage.join(" ")} ` : ""}`)
  else location.assign(`/find/order?${new URLSearchParams({ q: `${words} ${stage.join(" ")}` })}`)
}

const ACTIONS = {
  j: () => move(1),
  k: () => move(-1),
  l: showLogs,
  d: () => begin("deploy", false),
  r: () => begin("roll back", true),
  h: () => begin("hold", true),
  "/": () => openPalette(),
  "?": () => dialog?.showModal(),
}

if (dialog) {
  box.checked = !localStorage.getItem(OFF)
  box.addEventListener("change", () => {
    if (box.checked) localStorage.removeItem(OFF)
    else localStorage.setItem(OFF, "1")
  })
  dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close() })
  const opener = document.querySelector("[data-keys]")
  opener.hidden = false
  opener.addEventListener("click", () => dialog.showModal())
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
    if (event.isComposing || isTyping(event.target) || document.querySelector("dialog[open]")) return
    if (!Object.hasOwn(ACTIONS, event.key) || localStorage.getItem(OFF)) return
    event.preventDefault()
    ACTIONS[event.key]()
  })
}
