"use strict";
// Times are written in UTC; here they become those of whoever looks, with UTC one hover away.
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
      // What stands around the part depends on the state too; what somebody has begun to fill in is left alone.
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
    const button = form.querySelector("button");
    if (button?.hasAttribute("aria-busy")) sending.preventDefault();
    button?.setAttribute("aria-busy", "true");
  });
}
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button[aria-busy]")) button.removeAttribute("aria-busy");
});

// A choice of licenses is checked while it is made; the preview says the same and more.
const choice = document.querySelector("[data-check]");
let changes = 0;
choice?.addEventListener("change", (event) => {
  if (event.target.name === "sku" && event.target.checked) {
    event.target.closest("[data-row]").querySelector("details").open = true;
  }
  const change = ++changes;
  fetch(choice.dataset.check, { method: "POST", body: new URLSearchParams(new FormData(choice)) })
    .then((answer) => (answer.ok ? answer.text() : Promise.reject(answer.status)))
    .then((text) => {
      const made = new DOMParser().parseFromString(text, "text/html").getElementById("warnings");
      if (made && change === changes) document.getElementById("warnings").replaceWith(made);
    })
    .catch(() => {});
});
// On a narrow screen the sections scroll; the current one is brought into view.
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
