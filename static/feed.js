// The live feed of the page of operations (console/live/firehose.py): frames of a websocket, at most ten a second, each an
// array of events. They are drawn five times a second at most, in a picture of the screen, and the page keeps the newest 300
// only: what it holds is bounded, however long it is open and however much happens. What is not shown is counted.
(function () {
  "use strict";

  const watch = document.getElementById("watch");
  if (!watch || !window.WebSocket) return;
  const $ = (id) => document.getElementById(id);
  const list = $("events"), row = $("event-row"), form = $("watch-filters"), pause = $("watch-pause"), empty = $("events-empty");
  const MOST = Number(list.dataset.most), WINDOW = 3000, PACE = 200; // rows; milliseconds over which a rate is told, and between two drawings
  const TONES = { waiting: "wait", pending: "wait", completed: "good", done: "good", failed: "harm", in_doubt: "harm", expired: "harm",
    queued: "machine", running: "machine", intent: "machine" };
  const WORDS = { waiting: "Waiting for a person", pending: "Waiting", moot: "No longer needed", intent: "In flight", in_doubt: "In doubt",
    tool: "action", final: "final review" };
  const GATES = ["review", "question", "final"];
  const BAD = ["failed", "in_doubt", "expired"];

  let socket = null, last = null, epoch = "", again = 500, retry = 0, ended = false, generation = 0;
  let fresh = [], drawing = 0, drawn = -PACE, paused = false, held = 0;
  let skipped = 0, kinds = {}, rates = [];

  function word(value) {
    const text = WORDS[value] || value.replace(/_/g, " ");
    return text;
  }
  function upper(text) { return text.charAt(0).toUpperCase() + text.slice(1); }
  function many(number) { return number.toLocaleString("en-US"); }
  function pad(number) { return String(number).padStart(2, "0"); }
  function lasting(s) {
    if (s < 0.001) return s > 0 ? "<1 ms" : "0 s";
    if (s < 1) return Math.round(s * 1000) + " ms";
    if (s < 60) return s.toFixed(1) + " s";
    const m = Math.floor(s / 60), h = Math.floor(s / 3600);
    return m < 60 ? m + " min" : h < 24 ? h + " h " + (m % 60) + " min" : Math.floor(h / 24) + " d " + (h % 24) + " h";
  }
  function money(text) {
    const value = Number(text);
    return !isFinite(value) ? "" : value && value < 0.01 ? "$" + value.toFixed(4) : "$" + value.toFixed(2);
  }
  function add(parent, tag, text, name) {
    const made = document.createElement(tag);
    made.textContent = text;
    if (name) made.className = name;
    if (parent.childNodes.length) parent.append(" ");
    parent.append(made);
  }

  function element(event) {
    const made = row.content.firstElementChild.cloneNode(true), [at, flow, run, what, state, cost] = made.children;
    const when = new Date(event.at);
    at.dateTime = event.at;
    at.title = event.at;
    at.textContent = pad(when.getHours()) + ":" + pad(when.getMinutes()) + ":" + pad(when.getSeconds());
    flow.textContent = event.workflow;
    run.href = "/runs/" + event.run + "/";
    run.textContent = event.title || "Untitled run";
    what.textContent = event.kind === "step" ? word(event.what || "step") : event.kind === "status" ? "run" : event.kind;
    if (event.name) add(what, "code", event.name);
    if (event.agent) add(what, "span", event.agent, "muted");
    const asked = event.status === "intent" && GATES.indexOf(event.what) >= 0;
    if (event.status) add(state, "span", asked ? "Waiting" : upper(word(event.status)), "pill " + (asked ? "wait" : TONES[event.status] || ""));
    if (event.reason && event.reason !== event.status) add(state, "span", word(event.reason), "small muted");
    cost.textContent = [event.took === null ? "" : lasting(event.took), event.cost ? money(event.cost) : ""].join(" ").trim();
    if (BAD.indexOf(event.status) >= 0) made.classList.add("bad");
    return made;
  }

  // Everything that came since the last picture goes in at once; older rows leave at the other end.
  function draw() {
    drawing = 0;
    drawn = performance.now();
    if (!paused && fresh.length) {
      const batch = document.createDocumentFragment();
      for (let i = fresh.length - 1; i >= 0; i -= 1) batch.append(element(fresh[i]));
      fresh = [];
      list.prepend(batch);
      while (list.childElementCount > MOST) list.lastElementChild.remove();
      empty.hidden = true;
    }
    tell();
  }
  function soon() {
    if (drawing) return;
    drawing = 1;
    const wait = Math.max(drawn + PACE - performance.now(), 0);
    setTimeout(function () { requestAnimationFrame(draw); }, wait);
  }

  function tell() {
    const now = performance.now();
    rates = rates.filter(function (each) { return now - each[0] < WINDOW; });
    const total = (place) => rates.reduce((sum, each) => sum + each[place], 0);
    const seen = Math.round(total(1) / (WINDOW / 1000)), matched = Math.round(total(2) / (WINDOW / 1000)), shown = Math.round(total(3) / (WINDOW / 1000));
    $("watch-counts").hidden = false;
    let text = many(seen) + " events a second";
    if (matched !== seen) text += ", " + many(matched) + " of them as filtered";
    if (shown < matched) text += ": more than can be read, so about " + many(shown) + " a second are shown, first what began, ended, asked or failed";
    $("watch-rate").textContent = text + ".";
    const why = Object.keys(kinds).sort().map(function (kind) { return many(kinds[kind]) + " " + kind + (kinds[kind] === 1 ? "" : kind === "status" ? "es" : "s"); });
    $("watch-skipped").textContent = (paused ? "Paused: " + many(held) + " since then. " : "") +
      (skipped ? many(skipped) + " skipped since the page was opened" + (why.length ? " (" + why.join(", ") + ")" : "") + "." : "");
  }

  function skip(number, by) {
    skipped += number;
    Object.keys(by || {}).forEach(function (kind) { kinds[kind] = (kinds[kind] || 0) + by[kind]; });
  }

  function take(frame) {
    if (frame.kind === "hello") {
      say(epoch && epoch !== frame.data.epoch ? "live again; what happened in between is not shown" : "live");
      document.body.dataset.live = "live";
      again = 500;
      epoch = frame.data.epoch;
      last = frame.seq;
      return;
    }
    const data = frame.data, out = Object.values(data.left_out).reduce((sum, each) => sum + each, 0);
    const lost = last === null ? 0 : Math.max(data.first - last - 1, 0);
    skip(out + lost, data.left_out);
    last = frame.seq;
    rates.push([performance.now(), data.seen + lost, data.matched, data.events.length]);
    if (paused) held += data.events.length;
    fresh.push.apply(fresh, data.events);
    if (fresh.length > MOST) { // a page in the background, or a pause: the newest are kept
      if (!paused) skip(fresh.length - MOST);
      fresh = fresh.slice(-MOST);
    }
    if (!document.hidden) soon();
  }

  function say(text) { $("watch-says").textContent = text; }

  function wanted() {
    const query = new URLSearchParams();
    new FormData(form).forEach(function (value, name) { if (String(value).trim()) query.set(name, String(value).trim()); });
    return query;
  }

  function open() {
    clearTimeout(retry);
    const mine = (generation += 1), query = wanted();
    if (last !== null) { query.set("after", last); query.set("epoch", epoch); }
    const address = new URL(watch.dataset.socket, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.search = query.toString();
    say("connecting…");
    if (socket) socket.close();
    socket = new WebSocket(address);
    socket.onmessage = function (message) { if (mine === generation) take(JSON.parse(message.data)); };
    socket.onclose = function (event) {
      if (mine !== generation || ended) return;
      if (event.code === 4403) {
        ended = true;
        document.body.dataset.live = "ended";
        say("you may no longer listen here: reload this page");
        return;
      }
      say("reconnecting…");
      document.body.dataset.live = "lost";
      retry = setTimeout(open, again * (0.5 + Math.random()));
      again = Math.min(again * 2, 15000);
    };
  }

  // New filters: what is shown by others is let go, and the server sends the rest from where we are.
  function refilter() {
    const query = wanted().toString();
    history.replaceState(null, "", "/operations/" + (query ? "?" + query : "") + "#watch");
    $("watch-clear").hidden = !query;
    fresh = [];
    list.replaceChildren();
    empty.hidden = true;
    fetch("/operations/" + (query ? "?" + query : ""), { credentials: "same-origin" }).then(function (answer) {
      return answer.text().then(function (text) {
        if (!answer.ok || query !== wanted().toString()) return;
        const page = new DOMParser().parseFromString(text, "text/html");
        if (!list.childElementCount) list.append.apply(list, Array.from(page.getElementById("events").children));
        empty.replaceChildren.apply(empty, Array.from(page.getElementById("events-empty").childNodes));
        empty.hidden = list.childElementCount > 0;
      });
    }).catch(function () { /* the socket tells that the server is away */ });
    open();
  }

  form.addEventListener("submit", function (event) { event.preventDefault(); refilter(); });
  form.addEventListener("change", refilter);
  pause.hidden = false;
  pause.addEventListener("click", function () {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    if (!paused) { skip(Math.max(held - fresh.length, 0)); held = 0; }
    soon();
  });
  document.addEventListener("visibilitychange", function () { if (!document.hidden) soon(); });
  setInterval(function () { if (!document.hidden && $("watch-rate").textContent) soon(); }, 1000); // a rate falls, too
  open();
})();
