// What a reader sees of a page, for tests: run once in the page, it defines `seen`.
"use strict";
window.seen = {
  box(element) {
    const { left, right, top, bottom } = element.getBoundingClientRect();
    return { left, right, top, bottom, name: `${element.tagName.toLowerCase()} "${element.textContent.trim().slice(0, 40)}"` };
  },
  visible(selector, root = document) {
    return [...root.querySelectorAll(selector)].filter((element) => element.checkVisibility() && element.getBoundingClientRect().width > 0);
  },
  meet(a, b) {
    const by = 1; // pixels that rounding may cost
    return a.left < b.right - by && b.left < a.right - by && a.top < b.bottom - by && b.top < a.bottom - by;
  },
  // Pairs of things that lie over each other: sections, figures and tiles, the texts within a figure, its legend and its axes.
  overlaps() {
    const found = [];
    const pairwise = (elements) => {
      const boxes = elements.map(seen.box);
      boxes.forEach((a, index) => boxes.slice(index + 1).forEach((b) => { if (seen.meet(a, b)) found.push(`${a.name} over ${b.name}`); }));
    };
    pairwise(seen.visible("header, section"));
    for (const section of seen.visible("header, section")) pairwise(seen.visible(":scope > *", section));
    for (const group of seen.visible(".tiles, .figures, figure, .facts, .bars")) pairwise(seen.visible(":scope > *", group));
    for (const chart of seen.visible(".chart")) {
      const texts = seen.visible("text", chart);
      pairwise(texts);
      const frame = seen.box(chart.querySelector(".frame"));
      for (const text of texts.filter((each) => !each.matches(".value")).map(seen.box)) if (seen.meet(text, frame)) found.push(`${text.name} over the axes`);
      const whole = seen.box(chart);
      for (const text of texts.map(seen.box)) {
        const within = text.left >= whole.left - 1 && text.right <= whole.right + 1 && text.top >= whole.top - 1 && text.bottom <= whole.bottom + 1;
        if (!within) found.push(`${text.name} beyond its figure`);
      }
    }
    return found;
  },
  // Texts that are wider than what they stand in.
  cut() {
    const wide = (element) => element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== "inline";
    return seen.visible("h1, h2, p, dt, dd, small, figcaption, th, td, summary").filter(wide).map((element) => seen.box(element).name);
  },
  colour(text) {
    const numbers = text.match(/[\d.]+/g).map(Number);
    const [r, g, b, a = 1] = text.startsWith("color(") ? [...numbers.slice(0, 3).map((n) => 255 * n), ...numbers.slice(3)] : numbers;
    return [r, g, b, a];
  },
  background(element) {
    for (let at = element; at; at = at.parentElement) {
      const colour = seen.colour(getComputedStyle(at).backgroundColor);
      if (colour[3] === 1) return colour;
    }
    return [255, 255, 255, 1];
  },
  luminance([r, g, b]) {
    const [R, G, B] = [r, g, b].map((n) => n / 255).map((n) => (n <= 0.03928 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4));
    return 0.2126 * R + 0.7152 * G + 0.0722 * B;
  },
  contrast(a, b) {
    const [low, high] = [seen.luminance(a), seen.luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  },
  // Texts that are hard to read, with their contrast (WCAG asks for 4.5), and signs of figures (which need 3).
  faint() {
    const words = seen.visible("*").filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
    const texts = words.filter((element) => !["SCRIPT", "STYLE", "title"].includes(element.tagName)).map((element) => {
      const style = getComputedStyle(element);
      return [seen.box(element).name, seen.contrast(seen.colour(element.tagName === "text" ? style.fill : style.color), seen.background(element)), 4.5];
    });
    const signs = seen.visible(".key").map((key) => [`sign ${key.getAttribute("class")}`, seen.contrast(seen.colour(getComputedStyle(key).color), seen.background(key)), 3]);
    return [...texts, ...signs].filter(([, contrast, least]) => contrast < least).map(([name, contrast]) => `${name}: ${contrast.toFixed(2)}`);
  },
  column(table, name) {
    const index = [...table.tHead.rows[0].cells].findIndex((head) => head.textContent.trim() === name);
    return Array.from(table.tBodies[0].rows, (row) => row.cells[index].textContent);
  },
};
