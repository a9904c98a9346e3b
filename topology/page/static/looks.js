// Light or dark, as chosen here; `theme.js` applies it before anything is drawn.

export function toggleTheme() {
  const dark =
    getComputedStyle(document.documentElement).getPropertyValue("--is-dark").trim() === "1";
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("sentinel.theme", dark ? "light" : "dark");
  document.dispatchEvent(new Event("sentinel-theme"));
}
