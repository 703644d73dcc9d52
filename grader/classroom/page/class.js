"use strict";
(() => {
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  all(".controls").forEach((element) => { element.hidden = false; });

  // names: hidden until asked for, for one list or for the whole page
  all(".show").forEach((button) => button.addEventListener("click", () => {
    const named = button.closest(".people").classList.toggle("named");
    button.textContent = named ? "Hide who" : "Show who";
    button.setAttribute("aria-expanded", named);
  }));
  const names = document.getElementById("names");
  const hint = names && names.nextElementSibling.textContent;
  if (names) names.addEventListener("click", () => {
    const named = document.documentElement.classList.toggle("named");
    names.textContent = named ? "Hide names" : "Show names";
    names.setAttribute("aria-pressed", named);
    names.nextElementSibling.textContent = named ? "Names are shown, also in print." : hint;
    if (named) sort(all(".students thead th")[0], "ascending");
    filter();
  });
  all(".copy").forEach((button) => button.addEventListener("click", async () => {
    const addresses = button.closest(".people").querySelector(".addresses");
    const said = button.parentElement.querySelector("[role=status]");
    try {
      await navigator.clipboard.writeText(addresses.textContent);
      said.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(addresses);
      said.textContent = document.execCommand("copy") ? "Copied." : "They are marked now: copy them with Ctrl+C.";
    }
  }));

  // tables: a column's heading sorts by it, and again turns it round; what is empty comes last
  const text = (cell) => cell.dataset.value ?? cell.innerText.trim();
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  const order = (a, b) => (a !== "" && b !== "" && !isNaN(a) && !isNaN(b) ? a - b : compare(a, b));
  function sort(heading, direction) {
    const table = heading.closest("table"), column = heading.cellIndex, body = table.tBodies[0];
    const sign = direction === "ascending" ? 1 : -1;
    const rows = [...body.rows].map((row) => [text(row.cells[column]), row]);
    rows.sort(([a], [b]) => (a === "") - (b === "") || sign * order(a, b));
    body.append(...rows.map(([, row]) => row));
    all("th[aria-sort]", table.tHead).forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", direction);
  }
  all(".sortable thead th").forEach((heading) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    const first = heading.classList.contains("number") ? "descending" : "ascending";
    const second = first === "ascending" ? "descending" : "ascending";
    button.addEventListener("click", () => sort(heading, heading.getAttribute("aria-sort") === first ? second : first));
  });

  // what stands in a cell while names are hidden
  function plain(cell) {
    const copy = cell.cloneNode(true);
    all(".hidden-first", copy).forEach((element) => element.remove());
    return cell.classList.contains("hidden-first") ? "" : copy.textContent;
  }

  // the table of all students: what is typed must stand in a row as it is shown
  const find = document.getElementById("find"), finding = document.getElementById("finding");
  const rows = all(".students tbody tr"), shown = document.getElementById("shown");
  function filter() {
    const named = document.documentElement.classList.contains("named");
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row) => {
      const name = row.querySelector(".name"), alias = row.querySelector(".alias");
      const rest = [...row.cells].slice(1).map((cell) => (named ? cell.textContent : plain(cell))).join(" ");
      const said = `${(named && name ? name : alias).textContent} ${rest}`.toLowerCase();
      const kept = words.every((word) => said.includes(word)) && ["", row.dataset.finding].includes(finding.value);
      row.hidden = !kept;
      count += kept;
    });
    shown.textContent = count === rows.length ? `${count} students` : `${count} of ${rows.length} students`;
  }
  find.addEventListener("input", filter);
  finding.addEventListener("change", filter);
})();
