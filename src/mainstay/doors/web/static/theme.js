// Before the first paint, so that a chosen theme does not flash. Without a choice the system's own holds.
try {
  const chosen = localStorage.getItem("mainstay-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch { /* storage is switched off: the system's theme holds */ }
document.documentElement.classList.add("script");
