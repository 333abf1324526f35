// The live side of every page: what a frame from a websocket does to the page, and how a lost socket comes back.
// Frames are HTML (console/live/frames.py). Plain out-of-band swaps are htmx's; this file adds three things:
//   <template data-upsert="#list" data-at="afterbegin">: replace the element of the same id, or insert it;
//   <span id="feed-seq" data-seq="41">: the last event the page has; a reconnecting socket asks for what came after;
//   <body data-live="live|lost|ended">: what the connection is, for the indicator in the top bar.
(function () {
  "use strict";

  function lastSeq() {
    var marker = document.getElementById("feed-seq");
    return marker ? marker.dataset.seq : "";
  }

  htmx.createWebSocket = function (url) {
    var address = new URL(url, location.href);
    if (lastSeq() !== "") address.searchParams.set("after", lastSeq());
    return new WebSocket(address);
  };

  function upsert(template) {
    var list = document.querySelector(template.dataset.upsert);
    Array.from(template.content.children).forEach(function (fresh) {
      var old = fresh.id && document.getElementById(fresh.id);
      mark(list, old, fresh);
      if (old && list && old.parentElement === list && !wanted(list, fresh)) {
        old.remove(); // it went to others
        return;
      }
      if (old) {
        if (old.querySelector("a[aria-current]")) fresh.querySelector("a").setAttribute("aria-current", "page");
        old.replaceWith(fresh);
      } else if (list && wanted(list, fresh)) {
        list.insertAdjacentElement(template.dataset.at || "beforeend", fresh);
        fresh.classList.add("is-new");
      } else {
        return;
      }
      htmx.process(fresh);
      if (list && list.hasAttribute("data-sorted")) sort(list);
    });
  }

  // What depends on the viewer: an entry says whom a comment has just mentioned; a mark that was there stays.
  function mark(list, old, fresh) {
    var pill = fresh.querySelector("[data-for-you]"), was = old && old.querySelector("[data-for-you]:not([hidden])");
    var meant = list && list.dataset.me && (fresh.dataset.mention || "").split(" ").indexOf(list.dataset.me) >= 0;
    if (pill && (meant || was)) pill.hidden = false;
    else if (was && fresh.querySelector(".pills")) fresh.querySelector(".pills").prepend(was.cloneNode(true));
  }

  // A list shows only what its filters let through: data-filter-kind="tool" on the list, data-kind on the entry.
  // data-mine="- finance": entries of these groups alone; "-" is none.
  // data-begins="issue_": entries whose tool begins so. data-mentions: entries that bear the viewer's mark.
  function wanted(list, entry) {
    if ("mine" in list.dataset && list.dataset.mine.split(" ").indexOf(entry.dataset.group) < 0) return false;
    if (list.dataset.begins && (entry.dataset.tool || "").indexOf(list.dataset.begins) !== 0) return false;
    if ("mentions" in list.dataset && !entry.querySelector("[data-for-you]:not([hidden])")) return false;
    return Object.keys(list.dataset).every(function (name) {
      if (name.indexOf("filter") !== 0 || !list.dataset[name]) return true;
      var field = name.slice(6);
      return entry.dataset[field.charAt(0).toLowerCase() + field.slice(1)] === list.dataset[name];
    });
  }

  function sort(list) {
    var entries = Array.from(list.children);
    var sorted = entries.slice().sort(function (a, b) {
      return (a.dataset.rank || "") < (b.dataset.rank || "") ? -1 : (a.dataset.rank || "") > (b.dataset.rank || "") ? 1 : 0;
    });
    var moved = sorted.some(function (entry, i) { return entry !== entries[i]; });
    if (moved) sorted.forEach(function (entry) { list.appendChild(entry); });
  }

  htmx.defineExtension("live", {
    transformResponse: function (text) {
      if (text.indexOf("data-upsert") < 0 && text.indexOf("data-reset") < 0 && text.indexOf("data-remove") < 0) return text;
      var holder = document.createElement("template");
      holder.innerHTML = text;
      if (holder.content.querySelector("[data-reset]")) {
        location.reload();
        return "";
      }
      holder.content.querySelectorAll("template[data-upsert]").forEach(function (template) {
        upsert(template);
        template.remove();
      });
      holder.content.querySelectorAll("[data-remove]").forEach(function (order) {
        var gone = document.getElementById(order.dataset.remove);
        if (gone) gone.remove();
        order.remove();
      });
      return holder.innerHTML;
    }
  });

  function connection(state) {
    document.body.dataset.live = state; // base templates hold the words for live and lost
    var label = document.getElementById("live-state");
    if (label && state === "ended") label.textContent = "You may no longer listen here: reload this page";
  }

  document.addEventListener("htmx:wsOpen", function () { connection("live"); });
  document.addEventListener("htmx:wsClose", function (event) {
    connection(event.detail.event && event.detail.event.code === 4403 ? "ended" : "lost");
  });
  document.addEventListener("htmx:wsAfterMessage", function () {
    document.dispatchEvent(new CustomEvent("live:changed"));
  });
})();
