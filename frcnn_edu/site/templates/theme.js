(() => {
  let dark = matchMedia("(prefers-color-scheme: dark)").matches;
  try {
    dark = JSON.parse(localStorage.getItem("frcnn-edu-dark") ?? String(dark));
  } catch {} // a browser that keeps nothing for this page
  document.documentElement.dataset.jpThemeLight = String(!dark);
})();
