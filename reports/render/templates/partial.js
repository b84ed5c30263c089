/* A page to which more will come loads itself anew, unless somebody selects or types; what was opened stays open. */
(() => {
  "use strict";
  const SECONDS = 30;
  const folded = () => [...document.querySelectorAll("details")];
  const name = (each) => each.id || each.querySelector("summary").textContent.replace(/\(\d+\)/, "");
  const { open, theme, height } = history.state || {};
  folded().forEach((each) => { each.open ||= Boolean(open && open.includes(name(each))); });
  if (theme) document.documentElement.dataset.theme = theme;
  if (height !== undefined) window.scrollTo(0, height);
  const isSet = (field) => (field.type === "checkbox" ? field.checked : field.value);
  const busy = () => !getSelection().isCollapsed || document.activeElement.matches("input, select") ||
    [...document.querySelectorAll("input, select")].some(isSet);
  setInterval(() => {
    if (document.hidden || busy()) return;
    const kept = { open: folded().filter((each) => each.open).map(name), height: scrollY };
    history.replaceState({ ...kept, theme: document.documentElement.dataset.theme }, "");
    location.reload();
  }, SECONDS * 1000);
})();
