// Before anything is drawn: light or dark, as chosen here earlier; without a choice the system's.
(() => {
  const kept = localStorage.getItem("sentinel.theme");
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
})();
