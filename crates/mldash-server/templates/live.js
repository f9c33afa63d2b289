// Goes on with a report while its experiments are recorded: asks whether anything has changed, and then takes the words and
// the numbers of a newer page. The cursor, the zoom, what is open, the place on the page and the focus stay.
"use strict";

{
  const LIVE_MS = 2000, OVER_MS = 20000;
  const nav = document.querySelector("nav.site"), note = document.getElementById("live");
  let isHeld = false;

  /** What is open on a page, by the names of what opens. */
  const key = (details, i) => details.closest("section").id || `${i}`;
  const isOpen = () => new Map([...document.querySelectorAll("main details")].map((details, i) => [key(details, i), details.open]));

  /** Whatever has the focus, so that it is found again: by what it is and says. */
  const name = (element) => `${element.tagName} ${element.ariaLabel || element.textContent}`;

  function take(page) {
    const text = page.getElementById("document"), main = document.querySelector("main"), newer = page.querySelector("main");
    if (!text || !newer) return false;
    const open = isOpen(), focused = main.contains(document.activeElement) ? name(document.activeElement) : null;
    const data = JSON.parse(text.textContent), was = state.base;
    main.replaceChildren(...newer.childNodes);
    document.querySelectorAll("main details").forEach((details, i) => { details.open = open.get(key(details, i)) ?? details.open; });
    // Rows from before all others move the beginning.
    if (was !== null && data.base !== null) for (const end of ["from", "to", "cursor"]) state[end] += was - data.base;
    show(data);
    if (focused) [...main.querySelectorAll("a, button, summary, canvas, [tabindex]")].find((one) => name(one) === focused)?.focus({ preventScroll: true });
    const fresh = page.querySelector("nav.site");
    nav.dataset.state = fresh.dataset.state;
    document.title = page.title;
    return true;
  }

  async function look() {
    let wait = OVER_MS;
    try {
      const answer = await fetch(nav.dataset.ask, { headers: { Accept: "application/json" }, redirect: "manual" });
      if (answer.status === 401) {
        note.textContent = "logged out; reload the page to log in";
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      const { state: found, isLive } = await answer.json(), began = performance.now();
      note.textContent = isLive ? "being recorded" : "";
      wait = isLive ? LIVE_MS : OVER_MS;
      // Whoever drags over a plot is not interrupted.
      if (found !== nav.dataset.state && !isHeld) {
        const page = await fetch(location.href, { headers: { Accept: "text/html" } }), text = await page.text();
        if (!isHeld) take(new DOMParser().parseFromString(text, "text/html"));
        // No more often than it takes. One that takes long is made while nobody waits for it.
        wait = page.status === 202 ? LIVE_MS : Math.max(LIVE_MS, 2 * (performance.now() - began));
      }
    } catch {
      note.textContent = "the server does not answer; trying again";
    }
    setTimeout(next, wait);
  }

  /** A page that nobody sees asks nothing. */
  function next() {
    if (!document.hidden) look();
    else document.addEventListener("visibilitychange", next, { once: true });
  }

  for (const type of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
    document.addEventListener(type, (event) => { isHeld = event.buttons !== 0; }, true);
  }
  setTimeout(next, LIVE_MS);
}
