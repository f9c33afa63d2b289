// Goes on with the list while something in it is recorded. What is chosen, what is typed and the focus stay.
"use strict";

{
  const LOOK_MS = 5000;
  const isLive = () => document.querySelector(".list .chip.live") !== null;
  const name = (element) => `${element.tagName} ${element.href || element.value}`;

  function take(page) {
    const older = document.querySelector(".list tbody"), newer = page.querySelector(".list tbody");
    if (!newer) return;
    const chosen = new Set([...older.querySelectorAll("input:checked")].map(({ value }) => value));
    const focused = older.contains(document.activeElement) ? name(document.activeElement) : null;
    older.replaceChildren(...newer.childNodes);
    for (const box of older.querySelectorAll("input")) box.checked = chosen.has(box.value);
    if (focused) [...older.querySelectorAll("a, input")].find((one) => name(one) === focused)?.focus({ preventScroll: true });
  }

  async function look() {
    const began = performance.now();
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
      if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // Logged out, or the server does not answer: the list stays as it is.
    }
    wait(performance.now() - began);
  }

  /** A page that nobody sees asks nothing, and no more often than a tenth of what it takes. */
  function wait(took) {
    if (!isLive()) return;
    setTimeout(() => {
      if (!document.hidden) look();
      else document.addEventListener("visibilitychange", look, { once: true });
    }, Math.max(LOOK_MS, 10 * took));
  }

  wait(0);
}
