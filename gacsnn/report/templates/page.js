"use strict";
// A header that is clicked sorts its table by that column: numbers as numbers, empty cells last, the other way the second time.
for (const table of document.querySelectorAll("table.sortable")) {
  const [body] = table.tBodies;
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    const rows = Array.from(body.rows, (row) => [row.cells[column].dataset.v ?? row.cells[column].textContent, row]);
    const numeric = rows.every(([key]) => key === "" || !isNaN(key));
    const compare = numeric ? (a, b) => a - b : (a, b) => a.localeCompare(b);
    rows.sort(([a], [b]) => (a === "") - (b === "") || (up ? compare(a, b) : compare(b, a)));
    body.replaceChildren(...rows.map(([, row]) => row));
    for (const other of heads) other.setAttribute("aria-sort", other === head ? (up ? "ascending" : "descending") : "none");
  }));
}
