// Tables marked "filtered": sort by a click on a heading, show the lines that hold the words typed above them.
"use strict";
for (const table of document.querySelectorAll("table.filtered")) {
  const body = table.tBodies[0];
  const lines = [...body.rows];
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  const words = document.createElement("input");
  const count = document.createElement("span");
  const bar = document.createElement("p");
  words.type = "search";
  words.placeholder = "words: a method, a network, a table, a verdict";
  words.setAttribute("aria-label", "show only lines that hold these words");
  count.setAttribute("role", "status");
  bar.className = "filter";
  bar.append(words, count);
  table.closest(".scroll").before(bar);

  const show = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const line of lines) {
      const text = line.textContent.toLowerCase();
      line.hidden = !wanted.every((word) => text.includes(word));
      shown += !line.hidden;
    }
    count.textContent = `${shown} of ${lines.length}`;
  };
  words.addEventListener("input", show);
  show();

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (line) => line.cells[column].textContent.trim();
      const order = new Intl.Collator("en", { numeric: true });
      const sorted = [...lines].sort((a, b) => order.compare(key(a), key(b)) * (down ? -1 : 1));
      body.append(...sorted);
    });
  });
  // A link to a line that is filtered away shows it again.
  window.addEventListener("hashchange", () => {
    const line = document.getElementById(location.hash.slice(1));
    if (line && lines.includes(line) && line.hidden) {
      words.value = "";
      show();
      line.scrollIntoView();
    }
  });
}

// The explorer: two lists, of photographs and of methods, choose the one explanation that is shown.
for (const explorer of document.querySelectorAll(".explorer")) {
  const figures = [...explorer.querySelectorAll("figure")];
  const lists = ["photograph", "method"].map((name) => {
    const list = document.createElement("select");
    const label = document.createElement("label");
    for (const value of new Set(figures.map((figure) => figure.dataset[name]))) {
      list.add(new Option(value));
    }
    label.append(`${name} `, list);
    return { name, list, label };
  });
  const bar = document.createElement("p");
  bar.className = "filter";
  bar.append(...lists.map(({ label }) => label));
  explorer.prepend(bar);
  const choose = () => {
    for (const figure of figures) {
      figure.hidden = lists.some(({ name, list }) => figure.dataset[name] !== list.value);
    }
  };
  lists.forEach(({ list }) => list.addEventListener("change", choose));
  lists[1].list.value = figures[figures.length - 1].dataset.method;
  choose();
}
