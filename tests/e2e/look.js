// What is wrong with the page that is open, as it is read by ear, by keyboard and by eye; nothing when all is well.
() => {
  const wrong = [];
  const say = (what, node) => wrong.push(`${what}: ${node.outerHTML.replace(/\s+/g, " ").slice(0, 120)}`);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const seen = (node) => node.checkVisibility({ checkVisibilityCSS: true });
  const named = (node) => {
    const by = (node.getAttribute("aria-labelledby") || "").split(/\s+/).map((id) => document.getElementById(id)?.textContent || "").join(" ");
    const labels = [...(node.labels || [])].map((label) => label.textContent).join(" ");
    const own = ["BUTTON", "A", "SUMMARY", "TH"].includes(node.tagName) ? node.textContent : "";
    return (by + labels + own + (node.getAttribute("aria-label") || "")).trim();
  };

  // Landmarks and headings
  if (all("main").length !== 1) wrong.push("not one main");
  if (all("h1").length !== 1) wrong.push("not one h1");
  let before = 0;
  for (const heading of all("h1, h2, h3, h4, h5, h6").filter(seen)) {
    const level = Number(heading.tagName[1]);
    if (level > before + 1) say("a level of headings is left out", heading);
    if (!heading.textContent.trim()) say("an empty heading", heading);
    before = level;
  }

  // Names
  const identities = all("[id]").map((node) => node.id);
  for (const id of new Set(identities.filter((one, i) => identities.indexOf(one) !== i))) wrong.push(`twice the id ${id}`);
  for (const attribute of ["aria-labelledby", "aria-describedby"]) {
    for (const node of all(`[${attribute}]`)) {
      if (!node.getAttribute(attribute).split(/\s+/).every((id) => document.getElementById(id))) say("described by nothing", node);
    }
  }
  for (const node of all("label[for]")) if (!document.getElementById(node.htmlFor)) say("a label of nothing", node);
  for (const node of all("a[href], button, input:not([type=hidden]), select, textarea, summary, section, table, th")) {
    if (seen(node) && !named(node)) say("without a name", node);
  }
  for (const node of all("a:not([href])")) say("a link that leads nowhere", node);
  for (const node of all('a[href^="#"]')) {
    if (!document.getElementById(decodeURIComponent(node.hash.slice(1)))) say("leads to no place of this page", node);
  }
  for (const node of all("thead th")) if (!node.scope) say("a heading without its scope", node);
  for (const node of all("svg")) {
    const drawn = node.parentElement.closest("svg") || node.getAttribute("aria-hidden") || node.querySelector("title");
    if (!drawn && !(node.getAttribute("role") === "img" && node.getAttribute("aria-label"))) say("a drawing without words", node);
  }

  // By keyboard
  for (const node of all(".scroll, pre").filter(seen)) {
    if (node.scrollWidth > node.clientWidth + 1 && node.tabIndex < 0) say("cannot be scrolled by keys", node);
  }
  for (const node of all("a[href], button, summary, input, select, textarea").filter(seen)) {
    const box = node.getBoundingClientRect();
    if (node.type === "checkbox" || getComputedStyle(node).display === "inline" || node.closest(".skip")) continue;
    if (box.width < 24 || box.height < 24) say(`only ${Math.round(box.width)} × ${Math.round(box.height)} px to hit`, node);
  }

  // Times and numbers
  for (const node of all("time")) if (!/ UTC$/.test(node.title) && !/UTC/.test(document.body.innerText)) say("a time without its zone", node);
  const words = document.querySelector("main").innerText;
  for (const found of words.match(/\b(NaN|undefined|null|Infinity)\b/g) || []) wrong.push(`it says ${found}`);
  return wrong;
}
