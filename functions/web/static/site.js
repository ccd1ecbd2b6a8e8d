"use strict";
// Live parts are fetched again every two seconds, or as they say, while they say where; without script the page is as of its loading.
function poll() {
  const part = document.querySelector("[data-poll]");
  if (!part) return;
  fetch(part.dataset.poll, { headers: { "x-requested-with": "fetch" } })
    .then((answer) => (answer.ok ? answer.text() : Promise.reject(answer.status)))
    .then((text) => {
      const made = new DOMParser().parseFromString(text, "text/html").getElementById(part.id);
      const before = part.dataset.state;
      if (made) part.replaceWith(made);
      if (made && made.dataset.state !== before) location.reload();
    })
    .catch(() => {})
    .finally(() => setTimeout(poll, Number(part.dataset.every || 2000)));
}
setTimeout(poll, 1000);
for (const box of document.querySelectorAll("[data-filter]")) {
  box.addEventListener("input", () => {
    const wanted = box.value.toLowerCase();
    for (const row of document.querySelectorAll(`#${box.dataset.filter} tbody tr`)) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    }
  });
}
// A choice of licenses is checked while it is made; the preview says the same and more.
const choice = document.querySelector("[data-check]");
let changes = 0;
choice?.addEventListener("change", () => {
  const change = ++changes;
  fetch(choice.dataset.check, { method: "POST", body: new URLSearchParams(new FormData(choice)) })
    .then((answer) => (answer.ok ? answer.text() : Promise.reject(answer.status)))
    .then((text) => {
      const made = new DOMParser().parseFromString(text, "text/html").getElementById("warnings");
      if (made && change === changes) document.getElementById("warnings").replaceWith(made);
    })
    .catch(() => {});
});
