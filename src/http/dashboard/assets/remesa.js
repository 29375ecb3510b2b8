// The dashboard comes alive: the same page is asked for every two seconds, and what changed is put in its place. Focus, scroll
// and what is open stay. While the page is hidden, or a form is being used, it waits. Times are shown in the reader's zone.
(() => {
  "use strict";
  const EVERY_MS = 2000;
  const LATEST_MS = 15000;
  const main = document.getElementById("main");
  const pulse = document.getElementById("pulse");
  const language = document.documentElement.lang;
  const long = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
  const short = new Intl.DateTimeFormat(language, { timeStyle: "medium", hourCycle: "h23" });

  function localise(root) {
    for (const time of root.querySelectorAll("time[data-local], time[data-exact]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      if (time.hasAttribute("data-local")) {
        time.title = time.textContent;
        time.textContent = long.format(at);
      } else {
        time.title = long.format(at);
      }
    }
  }

  // Makes `old` what `fresh` is, touching no more than differs.
  function morph(old, fresh) {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
      old.replaceWith(fresh);
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    if (old.isEqualNode(fresh)) return;
    for (const { name } of [...old.attributes]) {
      const isOurs = name === "open" || name === "disabled";
      if (!fresh.hasAttribute(name) && !isOurs) old.removeAttribute(name);
    }
    for (const { name, value } of [...fresh.attributes]) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    const before = [...old.childNodes];
    const after = [...fresh.childNodes];
    after.forEach((node, place) => {
      if (place < before.length) morph(before[place], node);
      else old.append(node);
    });
    for (const node of before.slice(after.length)) node.remove();
  }

  function isBeingUsed() {
    const field = document.activeElement?.closest("main input, main select, main textarea, main form");
    return Boolean(field) || main.querySelector("details[data-act][open]") !== null || !getSelection().isCollapsed;
  }

  function tell(state, text) {
    if (!pulse) return;
    if (pulse.textContent !== text) pulse.textContent = text;
    pulse.classList.toggle("held", state === "held");
    pulse.classList.toggle("lost", state === "lost");
  }

  let lostSince = null;
  function lost() {
    lostSince ??= new Date();
    tell("lost", pulse?.dataset.lost.replace("{time}", short.format(lostSince)) ?? "");
  }

  async function look() {
    if (document.hidden) return;
    if (isBeingUsed()) {
      tell("held", pulse?.dataset.held ?? "");
      return;
    }
    let answer;
    try {
      answer = await fetch(location.href, { cache: "no-store", headers: { accept: "text/html" }, signal: AbortSignal.timeout(LATEST_MS) });
    } catch {
      lost();
      return;
    }
    if (answer.redirected || answer.status === 401 || answer.status === 403) {
      location.reload();
      return;
    }
    // What cannot be shown now stays as it was, and says so; what is gone says that it is gone.
    if (answer.status >= 500 && answer.status !== 500) {
      lost();
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("main");
    if (!fresh || isBeingUsed()) return;
    // Of a newer version everything may be otherwise.
    const version = (root) => root.querySelector('link[rel="stylesheet"]')?.getAttribute("href");
    if (version(page) !== version(document)) {
      location.reload();
      return;
    }
    localise(fresh);
    morph(main, fresh);
    document.title = page.title;
    lostSince = null;
    tell("live", pulse?.dataset.live ?? "");
  }

  localise(document);
  // On a phone the sections do not all fit: the one that is open is seen.
  const open = document.querySelector("nav [aria-current]");
  if (open) open.closest("nav").scrollLeft = open.offsetLeft - open.closest("nav").offsetLeft - 60;
  if (main?.hasAttribute("data-live")) {
    tell("live", pulse?.dataset.live ?? "");
    const again = () => setTimeout(() => look().finally(again), EVERY_MS);
    again();
    document.addEventListener("visibilitychange", look);
  }

  // The search field is a key away.
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, select, textarea");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      document.getElementById("q")?.focus();
    }
    if (event.key === "Escape") event.target.closest?.("details[open]")?.removeAttribute("open");
  });

  // A form is sent once.
  document.addEventListener("submit", (event) => {
    if (event.target.method === "post") {
      for (const button of event.target.querySelectorAll("button")) setTimeout(() => { button.disabled = true; });
    }
  });
})();
