(() => {
  let dark = matchMedia("(prefers-color-scheme: dark)").matches;
  try { dark = JSON.parse(localStorage.getItem("frcnn-edu-dark") ?? String(dark)); } catch {}
  document.documentElement.dataset.jpThemeLight = String(!dark);
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
})();
