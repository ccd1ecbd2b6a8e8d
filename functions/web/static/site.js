"use strict";
// Times are written in UTC; here they become those of the reader, with UTC as the title. A date stays the same date.
function localize(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (time.title || Number.isNaN(at.getTime())) continue;
    if (time.dateTime.length === "2026-12-01".length) {
      time.textContent = at.toLocaleDateString([], { dateStyle: "medium", timeZone: "UTC" });
      continue;
    }
    time.title = `${time.textContent} UTC`;
    time.textContent = at.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  }
}
localize(document);

// What a page confirms once is not confirmed again by a reload.
const address = new URL(location.href);
if (address.searchParams.has("done")) {
  address.searchParams.delete("done");
  history.replaceState(null, "", address);
}

// Live parts are fetched again every two seconds, or as they say, while they say where; without script the page is as of its loading.
function poll() {
  const part = document.querySelector("[data-poll]");
  if (!part) return;
  fetch(part.dataset.poll, { headers: { "x-requested-with": "fetch" } })
    .then((answer) => (answer.ok ? answer.text() : Promise.reject(answer.status)))
    .then((text) => {
      const made = new DOMParser().parseFromString(text, "text/html").getElementById(part.id);
      const before = part.dataset.state;
      if (made) localize(made);
      if (made) part.replaceWith(made);
      // The rest of the page depends on the state too. A form that a person has begun to fill in is left alone.
      const busy = document.querySelector("form[data-touched], details.menu[open]");
      if (made && made.dataset.state !== before && !busy) location.replace(location.pathname + location.search);
    })
    .catch(() => {})
    .finally(() => setTimeout(poll, Number(part.dataset.every || 2000)));
}
setTimeout(poll, 1000);

for (const box of document.querySelectorAll("[data-filter]")) {
  box.addEventListener("input", () => {
    const wanted = box.value.toLowerCase();
    for (const row of document.querySelectorAll(`#${box.dataset.filter} tbody tr, #${box.dataset.filter} [data-row]`)) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    }
  });
}

// A form that is sent once is not sent again by a second click.
for (const form of document.querySelectorAll("form[method=post]:not([data-download])")) {
  form.addEventListener("input", () => (form.dataset.touched = "yes"));
  form.addEventListener("submit", (sending) => {
    const button = form.querySelector("button:not([type=button])");
    if (button?.hasAttribute("aria-busy")) sending.preventDefault();
    button?.setAttribute("aria-busy", "true");
  });
}
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button[aria-busy]")) button.removeAttribute("aria-busy");
});

// A form that is not sent yet is kept in this tab: for the way back, for an error, and for a session that has ended.
// What was entered for another version of the assignment is forgotten.
const kept = document.querySelector("form[data-keep]");
const place = kept && `form ${kept.action}`;
function fill(fields) {
  for (const field of kept.elements) {
    if (!field.name || field.type === "hidden") continue;
    if (field.type === "checkbox") field.checked = fields.getAll(field.name).includes(field.value);
    else field.value = fields.get(field.name) ?? "";
  }
}
if (kept) {
  const shown = new URLSearchParams(new FormData(kept)).toString();
  const before = sessionStorage.getItem(place);
  const fields = new URLSearchParams(before ?? "");
  if (before && fields.get("version") !== kept.elements.version.value) sessionStorage.removeItem(place);
  else if (before && before !== shown && !location.search) {
    fill(fields);
    for (const note of document.querySelectorAll("[data-restored]")) note.hidden = false;
    for (const box of kept.querySelectorAll("input[name=sku]:checked")) {
      box.closest("[data-row]").querySelector("details").open = true;
    }
  }
  const keep = () => sessionStorage.setItem(place, new URLSearchParams(new FormData(kept)).toString());
  kept.addEventListener("input", keep);
  kept.addEventListener("change", keep);
}
for (const each of document.querySelectorAll("[data-forget]")) {
  each.addEventListener("click", () => {
    sessionStorage.removeItem(place);
    if (each.type === "button") location.replace(location.pathname);
  });
}

// A choice of licenses is checked while it is made; the preview says the same and more.
const choice = document.querySelector("[data-check]");
let changes = 0;
function check() {
  const change = ++changes;
  fetch(choice.dataset.check, { method: "POST", body: new URLSearchParams(new FormData(choice)) })
    .then((answer) => (answer.ok ? answer.text() : Promise.reject(answer.status)))
    .then((text) => {
      const made = new DOMParser().parseFromString(text, "text/html").getElementById("warnings");
      if (made && change === changes) document.getElementById("warnings").replaceWith(made);
    })
    .catch(() => {});
}
choice?.addEventListener("change", (event) => {
  if (event.target.name === "sku" && event.target.checked) {
    event.target.closest("[data-row]").querySelector("details").open = true;
  }
  check();
});
if (choice?.querySelector("input[name=sku]:checked")) check();
// Without script, each app is turned on or off alone.
for (const bar of document.querySelectorAll("[data-several]")) {
  bar.hidden = false;
  for (const button of bar.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      for (const box of bar.parentElement.querySelectorAll("fieldset input")) box.checked = Boolean(button.dataset.all);
      bar.dispatchEvent(new Event("change", { bubbles: true }));
    });
  }
}
// On a narrow screen the sections scroll; the current one is brought into view. scrollIntoView would make the first Tab
// begin there.
const sections = document.querySelector("nav");
const current = sections?.querySelector("[aria-current]");
if (current) sections.scrollLeft = current.offsetLeft - (sections.clientWidth - current.offsetWidth) / 2;
