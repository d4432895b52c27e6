// Pages are complete without this file. It adds: the viewer's time zone, keys, the theme switch, reading values off
// charts, and live regions that are fetched again when the server says that something changed.
"use strict";

// -- times: plain UTC becomes the viewer's zone; the title keeps UTC ------------------------------------------------
const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const FORMS = {
  clock: CLOCK,
  short: { day: "numeric", month: "short", ...CLOCK },
  full: { day: "numeric", month: "short", year: "numeric", ...CLOCK },
};
const inZone = (at, form) => new Intl.DateTimeFormat("en-GB", FORMS[form] || FORMS.full).format(at);

function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.textContent = inZone(new Date(time.dateTime), time.dataset.form);
  }
  for (const tick of root.querySelectorAll("text[data-form=clock]")) {
    tick.textContent = inZone(new Date(tick.dataset.at), "clock");
  }
}

// -- times that go on: counted from the moment they are shown, so that this machine's clock need not be right ---------
const two = (number) => String(number).padStart(2, "0");

function words(seconds) {
  const [d, h, m, s] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${m} m`;
  return m ? `${m} m ${s} s` : `${s} s`;
}

function tick() {
  for (const one of document.querySelectorAll(".ticking")) {
    one.shown ??= performance.now();
    const passed = (performance.now() - one.shown) / 1000;
    if (one.dataset.counts === "up") {
      one.textContent = words(Number(one.dataset.seconds) + passed);
    } else {
      const left = Number(one.dataset.seconds) - passed;
      const whole = Math.floor(Math.abs(left));
      const clock = `${two(Math.floor(whole / 60))}:${two(whole % 60)}`;
      one.textContent = left >= 0 ? `in ${clock}` : `overdue by ${clock}`;
      one.classList.toggle("bad", left < 0);
      one.classList.toggle("tone", left < 0);
    }
  }
}

if (document.querySelector(".ticking") || document.querySelector("[data-live]")) setInterval(tick, 1000);

// -- charts: the value under the pointer ----------------------------------------------------------------------------
function read(drawing, clientX) {
  const data = drawing.readings || (drawing.readings = JSON.parse(drawing.dataset.readings));
  const box = drawing.getBoundingClientRect();
  const share = Math.min(1, Math.max(0, (clientX - box.left) / box.width));
  const at = data.t[0] + share * (data.t.at(-1) - data.t[0]);
  let i = data.t.findIndex((t) => t >= at);
  if (i < 0) i = data.t.length - 1;
  if (i > 0 && at - data.t[i - 1] < data.t[i] - at) i -= 1;
  const unit = data.unit === "×" ? "×" : data.unit ? ` ${data.unit}` : "";
  const said = data.lines.map((line) => {
    const value = line.v[i] === null ? "no data" : line.v[i].toLocaleString("en-GB", { maximumSignificantDigits: 6 }) + unit;
    return data.lines.length > 1 ? `${line.name} ${value}` : value;
  });
  drawing.querySelector(".readout").textContent = `${inZone(new Date(data.t[i] * 1000), "short")} · ${said.join(" · ")}`;
  const cursor = drawing.querySelector(".cursor");
  const x = `${((data.t[i] - data.t[0]) / (data.t.at(-1) - data.t[0])) * 100}%`;
  cursor.setAttribute("x1", x);
  cursor.setAttribute("x2", x);
  cursor.setAttribute("visibility", "visible");
}

function forget(drawing) {
  drawing.querySelector(".readout").textContent = "";
  drawing.querySelector(".cursor").setAttribute("visibility", "hidden");
}

document.addEventListener("pointermove", (event) => {
  const drawing = event.target.closest?.(".drawing");
  if (drawing) read(drawing, event.clientX);
});
document.addEventListener("pointerout", (event) => {
  const drawing = event.target.closest?.(".drawing");
  if (drawing && !drawing.contains(event.relatedTarget)) forget(drawing);
});

// -- keys -----------------------------------------------------------------------------------------------------------
let going = 0; // until when a letter after `g` leads somewhere

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea, dialog")) return;
  if (Date.now() < going && event.key.length === 1) {
    going = 0;
    const link = document.querySelector(`nav [data-key="${CSS.escape(event.key)}"]`);
    if (link) {
      event.preventDefault();
      link.click();
    }
  } else if (event.key === "g") {
    going = Date.now() + 1500;
  } else if (event.key === "/") {
    const search = document.getElementById("q");
    if (search) {
      event.preventDefault();
      search.focus();
    }
  } else if (event.key === "?") {
    document.getElementById("keys")?.showModal();
  }
});

// -- theme and range ------------------------------------------------------------------------------------------------
const theme = document.querySelector("[data-theme-switch]");
const isDark = () =>
  (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

function nameTheme() {
  theme.textContent = isDark() ? "Light" : "Dark";
  theme.title = `Switch to the ${isDark() ? "light" : "dark"} theme`;
}

if (theme) {
  theme.hidden = false;
  nameTheme();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", nameTheme);
  theme.addEventListener("click", () => {
    const next = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("mainstay-theme", next);
    } catch { /* the choice then lasts for this page only */ }
    nameTheme();
  });
}
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

// -- runbooks: what was copied, and what was checked off in this browser ----------------------------------------------
if (navigator.clipboard) {
  for (const one of document.querySelectorAll("[data-copy]")) one.hidden = false;
}
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});
for (const list of document.querySelectorAll("[data-checks]")) {
  for (const box of list.querySelectorAll("input[type=checkbox]")) {
    const key = `mainstay-check ${list.dataset.checks} ${box.name}`;
    try {
      box.checked = sessionStorage.getItem(key) === "yes";
    } catch { /* then nothing is remembered */ }
    box.addEventListener("change", () => {
      try {
        sessionStorage.setItem(key, box.checked ? "yes" : "");
      } catch { /* the check then lasts for this page only */ }
    });
  }
}

// -- live regions: fetched whole and swapped; what was open stays open, what had the focus keeps it ------------------
const LEAST_BETWEEN = 1000; // ms between two fetches, so that a burst of changes costs one
let fetched = 0;
let planned = null;
let fetching = false; // one at a time: on a slow line an older page could arrive after a newer one
let again = false;
let pressed = false;

// A click is a press and a release on the same thing: a region swapped between the two would swallow it.
for (const kind of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
  document.addEventListener(kind, (event) => { pressed = event.buttons > 0; });
}

const FOCUSABLE = "a, button, summary, input, select, textarea, [tabindex]";

// What a thing is, whatever its place: rows come, go and change places, and the focus must follow its own.
const called = (one) => [one.tagName, one.id, one.name, one.value, one.getAttribute("href"), one.getAttribute("aria-label"),
  one.textContent.trim(), ...[...(one.form?.elements || [])].filter((field) => field.type === "hidden").map((field) => field.value)].join("\n");

function byName(region, selector, name) {
  const times = new Map();
  const found = new Map();
  for (const one of region.querySelectorAll(selector)) {
    const said = name(one);
    times.set(said, (times.get(said) || 0) + 1);
    found.set(`${said}\n${times.get(said)}`, one);
  }
  return found;
}

const summary = (one) => one.querySelector("summary")?.textContent || "";

function swap(region, fresh) {
  if (region.innerHTML === fresh.innerHTML) return;
  const open = byName(region, "details", summary);
  const focus = [...byName(region, FOCUSABLE, called)].find(([, one]) => one === document.activeElement);
  const places = [...region.querySelectorAll(".scroll, pre")].map((one) => [one.scrollLeft, one.scrollTop]);
  region.replaceChildren(...fresh.childNodes);
  for (const [name, one] of byName(region, "details", summary)) one.open = open.has(name) ? open.get(name).open : one.open;
  region.querySelectorAll(".scroll, pre").forEach((one, i) => { [one.scrollLeft, one.scrollTop] = places[i] || [0, 0]; });
  if (focus) {
    // Gone: then to the region, never to a neighbour, which a key that is pressed just now would set off.
    region.tabIndex = -1;
    (byName(region, FOCUSABLE, called).get(focus[0]) || region).focus({ preventScroll: true });
  }
}

// What somebody reads stays where it is on the screen, also when lines come in above it.
const LINES = "[data-live] :is(li, tr, dt, h2, h3, summary)";
const said = (one) => one.textContent.trim();

function held() {
  const below = document.querySelector(".top").getBoundingClientRect().bottom;
  if (scrollY === 0) return () => {};
  const at = [...byName(document, LINES, said)].map(([name, one]) => [name, one.getBoundingClientRect()])
    .filter(([, box]) => box.height > 0 && box.top >= below && box.top < innerHeight);
  return () => {
    const now = byName(document, LINES, said);
    const kept = at.find(([name]) => now.has(name));
    const moved = kept ? now.get(kept[0]).getBoundingClientRect().top - kept[1].top : 0;
    // Not by nothing either: that would end a scroll to a link's target that is under way.
    if (moved) scrollBy({ top: moved, behavior: "instant" });
  };
}

async function refresh() {
  planned = null;
  if (fetching) {
    again = true;
    return;
  }
  fetching = true;
  fetched = Date.now();
  try {
    await renew();
  } finally {
    fetching = false;
    if (again) {
      again = false;
      plan();
    }
  }
}

async function renew() {
  const answer = await fetch(location.href, { redirect: "error" }).catch(() => null);
  if (!answer?.ok) return; // the next change tries again; the page keeps what it has and when it was measured
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  localise(page);
  while (pressed) await new Promise((go) => setTimeout(go, 50));
  const stay = held();
  for (const region of document.querySelectorAll("[data-live][id]")) {
    const fresh = page.getElementById(region.id);
    if (fresh) swap(region, fresh);
  }
  stay();
  document.dispatchEvent(new CustomEvent("mainstay:live"));
}

function plan() {
  if (planned === null) planned = setTimeout(refresh, Math.max(0, fetched + LEAST_BETWEEN - Date.now()));
}

if (document.body.dataset.events && document.querySelector("[data-live]")) {
  const events = new EventSource(document.body.dataset.events);
  const notice = document.querySelector("[data-lost]");
  const QUIET = 4000; // ms; a reload of the server is over sooner and need not alarm anyone
  let lost = null;
  events.addEventListener("change", (event) => {
    const topics = [...document.querySelectorAll("[data-live]")].flatMap((region) => region.dataset.live.split(" "));
    if (event.data === "*" || topics.includes(event.data)) plan();
  });
  events.addEventListener("error", () => {
    if (lost) return;
    lost = new Date();
    setTimeout(() => {
      if (!lost) return;
      notice.textContent = `Not live since ${inZone(lost, "clock")}: the server does not answer.`;
      notice.hidden = false;
    }, QUIET);
  });
  events.addEventListener("open", () => {
    plan(); // whatever changed while the line was down, or between this page and the line
    lost = null;
    notice.hidden = true;
  });
}

localise(document);
