/* Sorting and filtering of tables, and the choice of light or dark. Without this script a page is complete, too. */
(() => {
  "use strict";
  const number = (text) => {
    const found = text.replace(/,/g, "").replace(/\u2212/g, "-").match(/[-+]?\d+(\.\d+)?(e[-+]?\d+)?/i);
    return found ? Number(found[0]) : NaN;
  };

  function compare(a, b, numeric) {
    if (!numeric) return a.localeCompare(b, "en", { numeric: true });
    const [x, y] = [number(a), number(b)];
    return x - y;
  }

  function sort(table, column, direction) {
    const body = table.tBodies[0];
    const text = (row) => row.cells[column].innerText.trim();
    const rows = [...body.rows].sort((a, b) => a.dataset.place - b.dataset.place);
    const fixed = rows.filter((row) => row.classList.contains("reference"));
    const free = rows.filter((row) => !row.classList.contains("reference"));
    if (direction !== "none") {
      const numeric = column > 0 && table.classList.contains("numeric");
      const empty = (row) => (numeric ? Number.isNaN(number(text(row))) : text(row) === "");
      const sign = direction === "ascending" ? 1 : -1;
      free.sort((a, b) => empty(a) - empty(b) || (empty(a) ? 0 : sign * compare(text(a), text(b), numeric)));
    }
    body.append(...free, ...fixed);
  }

  function makeSortable(table) {
    const rows = [...table.tHead.rows];
    const corner = rows[0].cells[0];
    const heads = rows.length > 1 ? [corner, ...rows[1].cells] : [...rows[0].cells];
    [...table.tBodies[0].rows].forEach((row, place) => { row.dataset.place = place; });
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const first = column > 0 && table.classList.contains("numeric") ? "descending" : "ascending";
        const second = first === "ascending" ? "descending" : "ascending";
        const now = head.getAttribute("aria-sort") || "none";
        const next = now === "none" ? first : now === first ? second : "none";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        if (next !== "none") head.setAttribute("aria-sort", next);
        sort(table, column, next);
      });
    });
  }

  function makeFilter(form) {
    const [task, words] = [form.elements.task, form.elements.variant];
    const said = form.querySelector("output");
    const tables = [...document.querySelectorAll("table[data-filter]")];
    const names = new Set(tables.flatMap((table) => rowsOf(table).map(nameOf)));
    function rowsOf(table) { return [...table.tBodies[0].rows].filter((row) => !row.classList.contains("reference")); }
    function nameOf(row) { return row.dataset.name; }
    function apply() {
      const asked = words.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
      const fits = (name) => asked.length === 0 || asked.some((word) => name.toLowerCase().includes(word));
      tables.forEach((table) => rowsOf(table).forEach((row) => { row.hidden = !fits(nameOf(row)); }));
      document.querySelectorAll("[data-task]").forEach((section) => {
        section.hidden = Boolean(task && task.value && section.dataset.task !== task.value);
      });
      const shown = [...names].filter(fits).length;
      said.textContent = `${shown} of ${names.size} variants` + (task && task.value ? `, task ${task.value}` : "");
    }
    form.addEventListener("input", apply);
    form.addEventListener("reset", () => setTimeout(apply));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
    apply();
  }

  function makeThemeButton(button) {
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (document.documentElement.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
    const show = () => { button.textContent = isDark() ? "Light theme" : "Dark theme"; };
    button.addEventListener("click", () => {
      document.documentElement.dataset.theme = isDark() ? "light" : "dark";
      show();
    });
    dark.addEventListener("change", show);
    button.hidden = false;
    show();
  }

  document.querySelectorAll("table[data-sort]").forEach(makeSortable);
  document.querySelectorAll("form.filter").forEach(makeFilter);
  document.querySelectorAll("button.theme").forEach(makeThemeButton);
})();
