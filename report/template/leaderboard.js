// The leaderboard: one table, and how to read it.

const data = JSON.parse(document.getElementById("data").textContent);
// 0.808 (0.72–0.88), 30 (500) and 1,683 are sorted by their first number.
const first = (text) => (text === "" ? null : parseFloat(text.replaceAll(",", "")));

const columns = data.heads.map((label, i) => ({
  label,
  numeric: data.rows.every((row) => /^(\d|$)/.test(row[i])) && data.rows.some((row) => row[i] !== ""),
  kind: label.endsWith("†") ? "best" : label === "UF1 last" ? "headline" : undefined,
}));
columns.forEach((column, i) => {
  column.value = (row) => (column.numeric ? first(row[i]) : row[i]);
  column.show = (row) => {
    const [value, ...rest] = row[i].split(" (");
    return rest.length ? el("span", {}, value, " ", el("small", {}, `(${rest.join(" (")}`)) : row[i] || "–";
  };
});

const table = sortableTable({ caption: "UF1, UAR and accuracy with 95% intervals over subjects; † chosen on the test subject", noun: "row", rows: data.rows, columns, text: (row) => row.join(" "), limit: 100 });
document.getElementById("table").replaceChildren(table.element);
document.getElementById("notes").append(...data.notes.map((note) => el("li", {}, `${note}.`)));
