"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  document.documentElement.classList.add("scripting");

  // Colours: what the system says, unless somebody chose. Storage may be forbidden.
  const remember = (value) => { try { localStorage.setItem("theme", value); } catch { /* then it is for this visit */ } };
  const remembered = () => { try { return localStorage.getItem("theme") || ""; } catch { return ""; } };
  function theme(value) {
    document.documentElement.dataset.theme = value;
    all("input[name=theme]").forEach((input) => { input.checked = input.value === value; });
  }
  all("input[name=theme]").forEach((input) => input.addEventListener("change", () => { theme(input.value); remember(input.value); }));
  theme(["light", "dark"].includes(remembered()) ? remembered() : "");

  // The table: sorted by one column, within its parts or all together; rows that do not match are hidden.
  const board = one("#board");
  const tools = one(".tools");
  const rows = all("tr[data-group]", board);
  const bodies = new Map(all("tbody", board).map((body) => [body.className, body]));
  const first = [...bodies.values()][0];
  let sorted = { index: 0, up: true };

  function compare(a, b) {
    const [x, y] = [a, b].map((row) => row.cells[sorted.index].dataset.value ?? "");
    if (!x || !y) return (x ? 0 : 1) - (y ? 0 : 1);
    const order = sorted.index === 1 ? x.localeCompare(y) : Number(x) - Number(y);
    return sorted.up ? order : -order;
  }

  function arrange() {
    const mixed = Boolean(tools.elements.mixed?.checked);
    const words = tools.elements.find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = new Set(all("input[name=show]:checked", tools).map((input) => input.value));
    let count = 0;
    for (const row of [...rows].sort(compare)) {
      row.hidden = !shown.has(row.dataset.group) || !words.every((word) => row.dataset.text.includes(word));
      count += row.hidden ? 0 : 1;
      (mixed ? first : bodies.get(row.dataset.group)).append(row);
    }
    board.classList.toggle("mixed", mixed);
    for (const body of bodies.values()) {
      one(".group", body).hidden = mixed || all("tr[data-group]:not([hidden])", body).length === 0;
    }
    all("thead th", board).forEach((head, index) => {
      head.setAttribute("aria-sort", index !== sorted.index ? "none" : sorted.up ? "ascending" : "descending");
    });
    one("output", tools).textContent = count === rows.length ? `${count} entries` : `${count} of ${rows.length} entries`;
  }

  all("thead th", board).forEach((head, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      sorted = { index, up: sorted.index === index ? !sorted.up : head.dataset.sort === "up" };
      arrange();
    });
  });
  tools.addEventListener("input", arrange);
  tools.addEventListener("submit", (event) => event.preventDefault());
  tools.reset(); // a reload keeps what was typed, and not what was hidden
  arrange();

  // Lines of the profiles: up to six in colour, the seventh takes the place of the first.
  const buttons = all("button[data-line]");
  let bright = buttons.filter((button) => button.ariaPressed === "true");
  const slots = new Map(bright.map((button, index) => [button, index]));
  function toggle(button) {
    if (slots.has(button)) {
      slots.delete(button);
      bright = bright.filter((other) => other !== button);
    } else {
      if (bright.length === 6) slots.delete(bright.shift());
      slots.set(button, [0, 1, 2, 3, 4, 5].find((slot) => ![...slots.values()].includes(slot)));
      bright.push(button);
    }
    for (const other of buttons) {
      const slot = slots.get(other);
      other.setAttribute("aria-pressed", String(slot !== undefined));
      for (const part of [other, ...all("path[data-line]").filter((path) => path.dataset.line === other.dataset.line)]) {
        part.classList.toggle("on", slot !== undefined);
        if (slot === undefined) part.style.removeProperty("--c");
        else part.style.setProperty("--c", `var(--c${slot})`);
      }
    }
  }
  for (const button of buttons) {
    button.addEventListener("click", () => toggle(button));
    for (const [event, on] of [["pointerenter", true], ["pointerleave", false], ["focus", true], ["blur", false]]) {
      button.addEventListener(event, () => {
        all("path[data-line]").forEach((path) => path.classList.toggle("hover", on && path.dataset.line === button.dataset.line));
      });
    }
  }

  // Players: one frame number for all; each clip stops at its own last.
  const transport = one(".transport");
  if (transport) {
    const slider = one("input", transport);
    const play = one(".play", transport);
    const clips = all(".clip");
    const frames = Number(slider.max) + 1;
    let timer = 0;
    function show(frame) {
      slider.value = frame;
      one("output", transport).textContent = `${frame + 1} / ${frames}`;
      slider.setAttribute("aria-valuetext", `frame ${frame + 1} of ${frames}`);
      for (const clip of clips) clip.style.setProperty("--frame", Math.min(frame, clip.dataset.frames - 1));
    }
    function run(on) {
      clearInterval(timer);
      timer = on ? setInterval(() => show((Number(slider.value) + 1) % frames), 125) : 0;
      play.setAttribute("aria-pressed", String(on));
      play.lastChild.textContent = on ? "Pause" : "Play";
    }
    play.addEventListener("click", () => run(!timer));
    slider.addEventListener("input", () => { run(false); show(Number(slider.value)); });
    // On a picture: drag across it to scrub.
    for (const strip of all(".strip")) {
      strip.addEventListener("pointermove", (event) => {
        if (event.pointerType === "mouse" && event.buttons !== 1) return;
        const box = strip.getBoundingClientRect();
        run(false);
        show(Math.max(0, Math.min(frames - 1, Math.floor((event.clientX - box.left) / box.width * frames))));
      });
    }
    show(0);
  }

  // A link to a policy opens it; on paper all are open.
  function open() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) { target.open = true; target.scrollIntoView(); }
  }
  addEventListener("hashchange", open);
  document.addEventListener("click", (event) => { if (event.target.closest("a[href^='#policy-']")) setTimeout(open); });
  open();
  addEventListener("beforeprint", () => all("details").forEach((details) => { details.open = true; }));
})();
