/* What changes on an open page, as it changes; ages count on by themselves. Without it the page is whole, too. */
"use strict";
(() => {
  const root = document.documentElement;
  const icon = document.getElementById("icon");
  const note = document.getElementById("stale");
  const connection = document.getElementById("connection");
  const PATIENCE = 40;  // seconds without news after which nothing here is certain
  const PAINTED = 100;  // ms after which the page, whole as it came, is seen; only then it listens
  let ahead = Number(root.dataset.now) * 1000 - Date.now();  // of the watchdog's clock before this one, in ms
  let heard = performance.now();
  let live = false;
  let filter = "";

  /* as watchdog.units.show_duration, of whole seconds */
  function showDuration(seconds) {
    const parts = [];
    let rest = Math.max(0, Math.floor(seconds));
    if (!rest) return "0s";
    for (const [name, size] of [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]]) {
      const count = Math.floor(rest / size);
      rest %= size;
      if (count) parts.push(count + name);
      else if (parts.length) break;
    }
    return parts.slice(0, 2).join(" ");
  }

  function tick() {
    const now = Math.floor((Date.now() + ahead) / 1000);
    for (const time of document.querySelectorAll("time[data-since]")) {
      const text = showDuration(now - Number(time.dataset.since));
      if (time.textContent !== text) time.textContent = text;
    }
    if (root.dataset.live) seeWhetherStale();
  }

  function seeWhetherStale() {
    const silence = (performance.now() - heard) / 1000;
    const lost = silence > PATIENCE;
    const headline = document.getElementById("headline");
    const stale = lost || (headline !== null && "stale" in headline.dataset);
    root.classList.toggle("stale", stale);
    root.classList.toggle("lost", lost);
    note.hidden = !lost;
    if (lost) {
      const since = new Date(Date.now() + ahead - silence * 1000).toISOString().slice(11, 19);
      note.textContent = `No news from the watchdog since ${since} UTC, for ${showDuration(silence)}: whether the pipeline works is unknown.`;
    }
    if (live || lost) connection.textContent = lost ? "not connected" : silence > PATIENCE / 2 ? "waiting for news" : "live";
    show(lost ? "unknown" : headline ? headline.dataset.status : "", lost ? "Unknown: no news" : headline ? headline.dataset.title : "");
  }

  function show(status, title) {
    if (!status) return;
    if (icon.getAttribute("href") !== icon.dataset[status]) icon.setAttribute("href", icon.dataset[status]);
    const whole = title + " · Pipeline Watchdog";
    if (document.title !== whole) document.title = whole;
  }

  /* Make *old* like *fresh*, and leave alone what is alike: the focus, a selection, what is unfolded. */
  function morph(old, fresh) {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
      old.replaceWith(fresh);
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    const kept = old.nodeName === "DETAILS" ? "open" : old.hasAttribute("data-filtered") ? "hidden" : "";
    for (const { name } of [...old.attributes]) {
      if (name !== kept && name !== "data-filtered" && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (name !== kept && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    if (old.nodeName === "TIME" && old.dataset.since) return;  // its text is ours
    if (old.classList.contains("filter")) return;
    const before = [...old.childNodes];
    const after = [...fresh.childNodes];
    after.forEach((node, i) => (before[i] ? morph(before[i], node) : old.append(node)));
    before.slice(after.length).forEach((node) => node.remove());
  }

  function parsed(html) {
    const template = document.createElement("template");
    template.innerHTML = html.trim();
    return template.content.firstElementChild;
  }

  function take(message) {
    const { html, lists } = message;
    for (const [id, text] of Object.entries(html)) {
      const old = document.getElementById(id);
      const fresh = parsed(text);
      if (old && old.nodeName === fresh.nodeName) {
        morph(old, fresh);
        delete html[id];
      }
    }
    for (const [id, order] of Object.entries(lists)) arrange(document.getElementById(id), order, html);
    const headline = document.getElementById("headline");
    const spoken = document.getElementById("spoken");
    if (headline && spoken && spoken.textContent !== headline.dataset.spoken) spoken.textContent = headline.dataset.spoken;
    sift();
  }

  function arrange(list, order, html) {
    if (!list) return;
    const wanted = new Set(order);
    for (const child of [...list.children]) if (!wanted.has(child.id)) child.remove();
    order.forEach((id, i) => {
      const there = [...list.children].find((child) => child.id === id) || (html[id] && parsed(html[id]));
      if (there && list.children[i] !== there) list.insertBefore(there, list.children[i] || null);
    });
    const fold = document.getElementById(list.id + "-fold");
    if (fold) {
      fold.hidden = !order.length;
      document.getElementById(list.id + "-count").textContent = order.length;
    }
  }

  /* only what has the words of the filter */
  function sift() {
    for (const one of document.querySelectorAll("[data-name]")) {
      const text = `${one.dataset.name} ${one.dataset.status}`.toLowerCase();
      const hidden = !filter.split(/\s+/).every((word) => text.includes(word));
      one.toggleAttribute("data-filtered", hidden);
      one.hidden = hidden;
    }
    const fold = document.getElementById("rows-fold");
    if (filter && fold) fold.open = true;
  }

  function listen() {
    const seen = root.dataset.seen;
    const source = new EventSource(`/live?page=${encodeURIComponent(root.dataset.live)}&seen=${encodeURIComponent(seen)}`);
    const hear = (event) => {
      heard = performance.now();
      live = true;
      root.dataset.seen = event.lastEventId || root.dataset.seen;
      const message = JSON.parse(event.data);
      if (message.now) ahead = message.now * 1000 - Date.now();
      return message;
    };
    source.addEventListener("parts", (event) => { take(hear(event)); tick(); });
    source.addEventListener("same", (event) => { hear(event); tick(); });
    source.addEventListener("reload", () => location.reload());
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
    });
  }

  const box = document.getElementById("filter");
  if (box) {
    box.closest("label").hidden = false;
    box.addEventListener("input", () => { filter = box.value.trim().toLowerCase(); sift(); });
    box.addEventListener("keydown", (event) => { if (event.key === "Escape") { box.value = ""; filter = ""; sift(); } });
  }
  if (document.querySelector("[data-starting]")) setTimeout(() => location.reload(), 1000);
  setTimeout(() => {
    if (root.dataset.live) listen();
    tick();
  }, PAINTED);
  setInterval(tick, 1000);
})();
