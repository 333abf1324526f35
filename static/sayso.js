// What makes the pages quicker than forms and links alone. Every page works without this file.
(function () {
  "use strict";

  const $ = (selector, root) => (root || document).querySelector(selector);
  const $$ = (selector, root) => Array.from((root || document).querySelectorAll(selector));
  const csrf = () => JSON.parse(document.body.getAttribute("hx-headers") || "{}")["X-CSRFToken"] || "";

  // Light or dark: the cookie is read by the server, so no page flashes.
  function toggleTheme() {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    document.cookie = "theme=" + root.dataset.theme + ";path=/;max-age=31536000;samesite=lax";
  }

  // Times: relative ones stay true, clocks are shown in the reader's zone (the title keeps UTC).
  function lasting(seconds) {
    const s = Math.floor(seconds), m = Math.floor(s / 60), h = Math.floor(s / 3600), d = Math.floor(s / 86400);
    if (s < 60) return s + " s";
    if (m < 60) return m + " min";
    if (h < 24) return m % 60 ? h + " h " + (m % 60) + " min" : h + " h";
    return h % 24 ? d + " d " + (h % 24) + " h" : d + " d";
  }

  function pad(number) { return String(number).padStart(2, "0"); }

  function tellTime(element) {
    const when = new Date(element.dateTime), past = Math.max((Date.now() - when) / 1000, 0);
    const minutes = pad(when.getHours()) + ":" + pad(when.getMinutes());
    const kind = element.dataset.time;
    let text = element.textContent;
    if (kind === "ago") text = past < 5 ? "just now" : lasting(past) + " ago";
    else if (kind === "age") text = lasting(past);
    else if (kind === "minutes") text = minutes;
    else if (kind === "seconds") text = minutes + ":" + pad(when.getSeconds());
    else if (kind === "day") text = when.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" }) + ", " + minutes;
    else if (kind === "due") {
      const left = (when - Date.now()) / 1000;
      text = left < 0 ? "overdue " + lasting(-left) : "due " + lasting(Math.max(left, 60));
      element.className = "due tone-" + (left < 1200 ? "harm" : left < 3600 ? "wait" : "later");
    }
    if (text !== element.textContent) element.textContent = text;
  }

  function tellTimes() {
    $$("time[data-time]").forEach(tellTime);
    $$("[data-until]").forEach(function (element) { element.hidden = new Date(element.dataset.until) < Date.now(); });
    $$("[data-zone]").forEach(function (field) { field.value = Intl.DateTimeFormat().resolvedOptions().timeZone || ""; });
  }

  // The entry whose card was asked for and has not arrived. It counts as the open one from the moment it was picked, so
  // that keys pressed faster than the server answers walk on; and while it is set no key decides, since what the
  // reviewer sees is no longer what was picked.
  let coming = null;
  function entryOf(element) {
    const item = element && element.closest && element.closest("#queue-list > .item");
    return item ? item.id.slice(2) : "";
  }
  function opened() {
    const card = $("#card");
    return coming ? coming.entry : (card && card.dataset.request) || "";
  }

  // The queue: which entry is open, whether anything is left, how much waits.
  function follow() {
    const list = $("#queue-list");
    if (!list) return;
    const open = opened(), seen = new Set();
    $$(":scope > li", list).forEach(function (item) {
      if (item.id && seen.has(item.id)) return item.remove();
      seen.add(item.id);
      const link = $("a", item);
      if (!link) return;
      if (open && item.id === "q-" + open) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    });
    const empty = $("#queue-empty");
    if (empty) empty.hidden = seen.size > 0;
  }

  let asked = 0;
  function recount() {
    const say = $("#queue-say");
    if (!say || asked) return;
    asked = setTimeout(function () { asked = 0; htmx.trigger(say, "refresh"); }, 700);
  }

  function countShown() {
    const say = $("#queue-say"), count = $("#waiting-count");
    if (say && count) count.textContent = say.dataset.total;
  }

  // The open request changed elsewhere: show it, unless that would throw away what is being typed. A card that was
  // asked for before the last news may be older than the news, and one whose place was taken meanwhile is not shown
  // at all: whenAnswered asks again after both, so no news is lost on the way.
  let news = 0;
  function cardNews(text) {
    const open = opened();
    if (!open || (!text.includes('data-remove="q-' + open + '"') && !text.includes('id="q-' + open + '"'))) return;
    news += 1;
    showNews(text.includes("data-remove"));
  }
  function showNews(gone) {
    const card = $("#card[data-request]"), said = $("#card-news");
    if (coming || !card || card.dataset.status !== "pending") return;
    const busy = $(".note", said) || $$("textarea, input:not([type=hidden]), select", card).some(function (field) {
      if (field.tagName !== "SELECT") return field.value !== field.defaultValue;
      return field.selectedIndex !== Math.max(0, $$("option", field).findIndex((option) => option.defaultSelected));
    });
    if (!busy) {
      htmx.ajax("GET", location.pathname, { source: "#card-refresh", target: "#card", select: "#card", swap: "outerHTML" })
        .catch(function () {}); // a request that yielded is no fault; htmx tells all others by events, see sayFailure
      return;
    }
    const note = document.createElement("p"), link = document.createElement("a");
    note.className = "note harm";
    note.id = "news";
    link.href = location.pathname;
    link.textContent = "Show it";
    note.append(gone ? "This was decided while you were typing. " : "This changed while you were typing. ", link);
    if ($("#news")) $("#news").remove();
    said.append(note);
  }
  function whenAnswered(xhr, target) {
    const asked = news;
    let lost = false;
    // On the target itself: what left the page is not heard at the document.
    target.addEventListener("htmx:beforeSwap", function (event) { if (event.detail.xhr === xhr) lost = !target.isConnected; });
    xhr.addEventListener("loadend", function () { if (xhr.status && (lost || asked < news)) showNews(); });
  }

  function move(step) {
    const links = $$("#queue-list > .item > a");
    if (!links.length) return false;
    const open = opened(), at = links.findIndex((link) => open && entryOf(link) === open);
    const link = links[Math.min(Math.max(at < 0 ? 0 : at + step, 0), links.length - 1)];
    link.focus();
    link.scrollIntoView({ block: "nearest" });
    link.click();
    return true;
  }

  // A key that does something for good asks once more, in its place, and forgets after a while or with anything else.
  const PATIENCE = 6000; // milliseconds
  let arming = 0;
  function armed(button) {
    if (button.classList.contains("is-armed")) return true;
    disarm();
    button.classList.add("is-armed");
    button.dataset.label = button.innerHTML;
    button.textContent = button.dataset.confirm;
    $("#announce").textContent = button.dataset.confirm;
    arming = setTimeout(disarm, PATIENCE);
    return false;
  }
  function disarm() {
    clearTimeout(arming);
    $$(".is-armed").forEach(function (button) { button.classList.remove("is-armed"); button.innerHTML = button.dataset.label; });
  }

  function press(key) {
    const button = $('#card [data-key="' + key + '"]');
    if (coming || !button || button.disabled) return false;
    if (button.dataset.confirm && !armed(button)) return true;
    if (button.tagName !== "SUMMARY") { button.click(); return true; }
    button.parentElement.open = true;
    const field = $("textarea, input:not([type=hidden]), button", button.parentElement.querySelector("form"));
    if (field) field.focus();
    return true;
  }

  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.key !== "a") disarm();
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key === "Escape") {
      const open = $$(".verdict details[open], .pop[open], .who[open]").pop();
      if (open && !$("dialog[open]")) { open.open = false; $("summary", open).focus(); }
      return;
    }
    if (typing || $("dialog[open]")) return;
    let done = false;
    if (event.key === "j") done = move(1);
    else if (event.key === "k") done = move(-1);
    else if ("aermcu".includes(event.key)) done = press(event.key);
    else if (event.key === "o") done = opened() ? false : move(0);
    else if (event.key === "/") { $("#find").focus(); done = true; }
    else if (event.key === "?") { $("#keys").showModal(); done = true; }
    else done = amongSteps(event) || throughRun(event);
    if (done) event.preventDefault();
  });

  // The way back from a card leads to the list as it was narrowed, not to the list as it is at first.
  function keepList() { if (location.pathname === "/queue/") sessionStorage.setItem("queue", location.search); }

  document.addEventListener("click", function (event) {
    const back = event.target.closest("a.back, a[data-next]");
    if (back) back.href = "/queue/" + (sessionStorage.getItem("queue") || "");
    if (event.target.closest("[data-theme-toggle]")) toggleTheme();
    if (event.target.closest("[data-next]") && !matchMedia("(max-width: 820px)").matches && move(1)) event.preventDefault();
    $$(".pop[open], .who[open]").forEach(function (open) { if (!open.contains(event.target)) open.open = false; });
  });

  document.addEventListener("change", function (event) {
    const field = event.target;
    if (field.dataset.tick) $$('input[name="' + field.dataset.tick + '"]', field.form).forEach(function (box) { box.checked = field.checked; });
    if (field.dataset.reload) location.href = field.dataset.reload + encodeURIComponent(field.value);
    else if (field.tagName === "SELECT" && field.form && field.form.hasAttribute("data-autosubmit")) field.form.requestSubmit();
  });

  // Who saw what: listed for a second, and read to the end. Opening is recorded by the server.
  const told = new Set();
  function tellSeen(address, what) {
    if (told.has(what + address)) return;
    told.add(what + address);
    fetch(address, { method: "POST", headers: { "X-CSRFToken": csrf() }, body: new URLSearchParams({ what: what }), keepalive: true });
  }
  const watcher = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      const element = entry.target;
      element.inView = entry.isIntersecting;
      if (!entry.isIntersecting) return;
      setTimeout(function () {
        if (!element.inView || !element.isConnected) return;
        watcher.unobserve(element);
        if (element.dataset.seen) tellSeen(element.dataset.seen, "read");
        else tellSeen("/queue/" + element.id.slice(2) + "/seen/", "shown");
      }, 1000);
    });
  });
  function watch() { $$("#queue-list > .item, #card-end").forEach((element) => watcher.observe(element)); }

  function announce(card) {
    const words = card && card.dataset.announce;
    if (words) $("#announce").textContent = words;
  }

  let heard = "";
  document.addEventListener("htmx:wsBeforeMessage", function (event) { cardNews(event.detail.message); });
  document.addEventListener("live:changed", function () {
    tellTimes();
    follow();
    recount();
    watch();
    const status = $("#run-status"), actions = $("#run-actions");
    const late = $("#run-late[data-late]"); // what came of a call was heard after the run's end
    if (late && late.dataset.late !== heard) {
      heard = late.dataset.late;
      htmx.trigger(actions, "refresh");
    } else if (status && actions && actions.dataset.status !== status.dataset.status) {
      actions.dataset.status = status.dataset.status;
      htmx.trigger(actions, "refresh");
    }
  });
  document.addEventListener("htmx:beforeRequest", function (event) {
    const entry = entryOf(event.detail.elt), xhr = event.detail.xhr;
    if (entry) {
      coming = { entry: entry, xhr: xhr };
      follow();
      // Not htmx:afterRequest: the entry may be replaced meanwhile, and events on what left the page do not arrive here.
      xhr.addEventListener("loadend", function () {
        if (!coming || coming.xhr !== xhr) return;
        coming = null;
        follow();
      });
    }
    if (event.detail.target.id === "card") whenAnswered(xhr, event.detail.target);
    if (ofStep(event.detail.target)) stepWanted = true;
  });
  // Not at htmx:afterSettle: between the two somebody may have read the step, and closed it.
  document.addEventListener("htmx:afterSwap", function (event) {
    if (stepWanted && (ofStep(event.detail.target) || event.target.id === "step-detail")) showStep();
  });
  document.addEventListener("htmx:afterSettle", function (event) {
    const target = event.detail.target || event.target; // a page that history brings back has no target of a request
    tellTimes();
    follow();
    countShown();
    watch();
    if (event.target.id === "card" || target.id === "card") announce($("#card"));
  });
  document.addEventListener("htmx:beforeSwap", function (event) {
    // A refused decision is an answer too: 4xx pages that carry a card are shown.
    const xhr = event.detail.xhr;
    const said = [409, 422].includes(xhr.status) || (xhr.status === 403 && xhr.responseText.includes('id="card"'));
    if (said) { event.detail.shouldSwap = true; event.detail.isError = false; }
  });
  document.addEventListener("htmx:historyRestore", function () { keepList(); follow(); });

  // A step that is open is in the address (?step=4), so that it can be sent on, loaded again and gone back from.
  // An answer that comes after the dialog was closed opens it no more.
  let stepWanted = false;
  function ofStep(element) {
    const body = $("#step-dialog-body");
    return Boolean(body && body.contains(element));
  }
  function stepAddress(step) {
    const address = new URL(location.href);
    if (step) address.searchParams.set("step", step); else address.searchParams.delete("step");
    if (step || address.hash === "#step-detail") address.hash = "";
    return address;
  }
  function showStep() {
    const dialog = $("#step-dialog"), detail = $("#step-dialog-body .step-detail");
    if (!dialog.open) dialog.showModal();
    const step = detail && dialog.hasAttribute("data-addressed") && detail.dataset.step;
    if (!step || new URL(location.href).searchParams.get("step") === step) return;
    history.pushState({ step: step }, "", stepAddress(step));
  }
  function hearSteps() {
    const dialog = $("#step-dialog[data-addressed]");
    if (!dialog) return;
    if (dialog.dataset.open) { dialog.removeAttribute("open"); showStep(); } // without a script it stands at the end of the page
    dialog.addEventListener("close", function () {
      stepWanted = false;
      if (new URL(location.href).searchParams.has("step")) history.pushState(null, "", stepAddress(""));
    });
    window.addEventListener("popstate", function () {
      const step = new URL(location.href).searchParams.get("step");
      if (!step) { if (dialog.open) dialog.close(); return; }
      htmx.ajax("GET", location.pathname + "steps/" + encodeURIComponent(step) + "/", { target: "#step-dialog-body" });
    });
  }

  // In the waterfall the arrows go from step to step; stepping through a run, from entry to entry.
  function amongSteps(event) {
    const rows = $$(".falls a[data-step-link]"), at = rows.indexOf(document.activeElement);
    if (at < 0) return false;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined || !rows[to]) return to !== undefined;
    rows[to].focus();
    rows[to].scrollIntoView({ block: "nearest" });
    return true;
  }
  function throughRun(event) {
    const move = { ArrowLeft: "back", ArrowRight: "on", Home: "first", End: "last" }[event.key];
    const link = move && $('#moment a[data-move="' + move + '"]');
    if (!move || !$("#moment")) return false;
    if (link) link.click();
    return true;
  }

  // The first page of the runs moves while somebody looks at it, by asking again; not once more than it was unfolded.
  const ASK_AGAIN = 5000; // milliseconds
  function lookAgain() {
    const list = $("#runs-live[hx-get]"), rows = $("#runs");
    if (!list || document.hidden || (rows && $$("tr:not(#runs-more)", rows).length > Number(rows.dataset.rows))) return;
    htmx.trigger(list, "refresh");
  }
  const isLook = (event) => event.detail.elt.id === "runs-live";

  // No answer, or none that can be shown: say so where it is seen, until something works again.
  function sayFailure(text) {
    const note = $("#failure");
    note.hidden = !text;
    note.textContent = text;
  }
  document.addEventListener("htmx:sendError", function (event) {
    if (isLook(event)) { document.body.dataset.live = "lost"; return; }
    sayFailure("The server could not be reached. What you asked for may not have happened: reload this page before you try again.");
  });
  document.addEventListener("htmx:responseError", function (event) {
    const status = event.detail.xhr.status;
    if (status === 401) return; // on the way to the log-in page
    if (isLook(event)) { document.body.dataset.live = "lost"; return; }
    sayFailure(status === 404 ? "That is no longer here. Reload this page to see what is."
      : status === 403 ? "Your role does not allow that here, or this page is too old. Reload it and try again."
      : "The server failed at that (" + status + "). Reload this page to see where things stand.");
  });
  document.addEventListener("htmx:afterOnLoad", function (event) {
    if (event.detail.successful) sayFailure("");
    if (event.detail.successful && isLook(event)) document.body.dataset.live = "live";
  });

  $$("[data-script]").forEach(function (element) { element.hidden = false; });
  $$("[data-noscript]").forEach(function (element) { element.hidden = true; });
  hearSteps();
  keepList();
  tellTimes();
  follow();
  watch();
  setInterval(tellTimes, 15000);
  setInterval(lookAgain, ASK_AGAIN);
})();
