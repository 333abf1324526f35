// Tells of new requests in this browser while nobody looks at the queue. Asked for with a click, and only then.
// The choice is this browser's, so it stays here (localStorage); nothing about it reaches the server.
(function () {
  "use strict";

  const KEY = "sayso-tell";
  const box = document.getElementById("tell-here");
  const list = document.getElementById("queue-list");
  if (!box || !list && !box.hasAttribute("data-always")) return;
  const button = box.querySelector("button"), said = box.querySelector("[data-said]");

  let clicked = false;

  function chosen() {
    try { return localStorage.getItem(KEY) === "yes"; } catch (refused) { return false; }
  }
  function choose(yes) {
    try { localStorage.setItem(KEY, yes ? "yes" : "no"); } catch (refused) { /* a browser that keeps nothing forgets it */ }
  }
  function can() { return "Notification" in window && window.isSecureContext; }
  function on() { return can() && chosen() && Notification.permission === "granted"; }

  function show() {
    // On the queue it takes no room any more once it is settled; "What I am told" keeps it.
    box.hidden = !box.hasAttribute("data-always") && (on() || !can() || Notification.permission === "denied") && !clicked;
    button.hidden = !can() || Notification.permission === "denied";
    button.textContent = on() ? "Stop telling me in this browser" : "Tell me in this browser";
    button.setAttribute("aria-pressed", on() ? "true" : "false");
    said.textContent = !("Notification" in window) ? "This browser shows no notifications."
      : !window.isSecureContext ? "Browsers show notifications only for pages that come over https."
      : Notification.permission === "denied" ? "This browser was told not to show notifications of this site. Allow them in its settings for this site, then reload."
      : on() ? "New requests are shown while the queue is open in a tab that you do not look at." : "";
    said.hidden = !said.textContent;
  }

  button.addEventListener("click", function () {
    clicked = true;
    if (on()) { choose(false); show(); return; }
    Notification.requestPermission().then(function (answer) {
      choose(answer === "granted");
      show();
    });
  });
  show();
  if (!list) return;

  // Entries that were here once are not news: one comes again when its votes or its deadline change.
  const known = new Set(Array.from(list.querySelectorAll(":scope > .item"), (item) => item.id));
  let mentioned = "";
  document.addEventListener("live:changed", function () {
    const mention = document.getElementById("last-mention"), of = mention ? mention.dataset : {};
    if (of.comment && of.comment !== mentioned) {
      mentioned = of.comment;
      const me = list.dataset.me && of.whom.split(" ").indexOf(list.dataset.me) >= 0;
      if (me && document.hidden && on()) tell(of.by + " mentioned you", of.title, "mention-" + of.comment, of.href);
    }
    list.querySelectorAll(":scope > .item").forEach(function (item) {
      if (known.has(item.id)) return;
      known.add(item.id);
      if (!document.hidden || !on() || !item.classList.contains("is-new")) return;
      const link = item.querySelector("a"), title = item.querySelector("strong"), sub = item.querySelector(".sub");
      const words = title ? title.textContent : "A request waits for a person";
      tell(words, sub ? sub.textContent : "", item.id, link ? link.href : "");
    });
  });

  // ``tag`` is the entry's id where it is in the list: a click then opens it in place.
  function tell(words, body, tag, href) {
    let note = null;
    try {
      note = new Notification(words, { body: body, tag: tag });
    } catch (refused) { // phones let only installed apps do this
      choose(false);
      show();
      said.textContent = "This browser shows notifications of installed apps only.";
      said.hidden = false;
      return;
    }
    note.addEventListener("click", function () {
      window.focus();
      note.close();
      const now = document.getElementById(tag), open = now && now.querySelector("a");
      if (open) open.click();
      else if (href) location.href = href;
    });
  }
})();
