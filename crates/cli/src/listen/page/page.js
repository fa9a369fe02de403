"use strict";
// Whatever comes from a request is set as text, never as markup.

const KEPT = 200;
const list = document.getElementById("requests");
const refusedOnly = document.getElementById("refused-only");
const byId = (id) => document.getElementById(id);

/** The requests, the newest first. */
let requests = [];
let newest = 0;
/** The number of the request that is shown. */
let selected = null;

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function shown() {
  return refusedOnly.checked ? requests.filter((request) => !request.ok) : requests;
}

function result(request) {
  return request.ok ? "accepted" : `refused ${request.status} ${request.code}`;
}

function option(request) {
  const item = element("li", undefined, request.ok ? "accepted" : "refused");
  item.id = `request-${request.number}`;
  item.setAttribute("role", "option");
  item.append(
    element("span", `${request.method} ${request.target}`, "what"),
    element("span", result(request), "result"),
  );
  item.addEventListener("click", () => select(request.number));
  return item;
}

function showList() {
  list.replaceChildren(...shown().map(option));
  showCount();
  mark();
}

/** Puts what came last on top; what is there stays, with its place on the screen. */
function add(latest) {
  requests = [...latest, ...requests].slice(0, KEPT);
  list.prepend(...latest.filter((request) => !request.ok || !refusedOnly.checked).map(option));
  const kept = new Set(requests.map((request) => `request-${request.number}`));
  while (list.lastElementChild && !kept.has(list.lastElementChild.id)) {
    list.lastElementChild.remove();
  }
  showCount();
  mark();
}

function showCount() {
  const refused = requests.filter((request) => !request.ok).length;
  const count = requests.length === KEPT ? `the last ${KEPT}` : requests.length;
  byId("count").textContent = requests.length
    ? `${count} ${requests.length === 1 ? "request" : "requests"}, ${refused} refused`
    : "no request yet";
}

function mark() {
  for (const item of list.children) {
    item.setAttribute("aria-selected", String(item.id === `request-${selected}`));
  }
  const chosen = byId(`request-${selected}`);
  if (chosen) {
    list.setAttribute("aria-activedescendant", chosen.id);
  } else {
    list.removeAttribute("aria-activedescendant");
  }
}

function select(number) {
  const request = requests.find((request) => request.number === number);
  selected = request ? number : null;
  mark();
  byId("hint").hidden = Boolean(request);
  byId("selected").hidden = !request;
  if (!request) return;
  byId(`request-${number}`)?.scrollIntoView({ block: "nearest" });
  byId("selected").className = request.ok ? "accepted" : "refused";
  byId("title").textContent = `${request.method} ${request.target}`;
  byId("verdict").textContent = request.ok ? "accepted" : `${result(request)}: ${request.message}`;
  byId("causes").replaceChildren(...(request.causes ?? []).map((cause) => element("li", cause)));
  const facts = [
    ["signed by", request.access_key_id],
    ["scope", request.scope],
    ["signed headers", request.signed_headers],
    ["signature in", request.place],
    ["payload", request.payload],
    ...differs(request),
  ].filter(([, value]) => value !== undefined);
  byId("facts").replaceChildren(
    ...facts.flatMap(([name, value]) => [element("dt", name), element("dd", value)]),
  );
  const steps = byId("steps");
  steps.replaceChildren();
  for (const [title, rows] of [
    ["Canonical request", request.canonical_request],
    ["String to sign", request.string_to_sign],
  ]) {
    if (rows) steps.append(element("h3", title), table(title, rows, request.client_is_known));
  }
}

/** A difference that stands in no table: that of a body. */
function differs(request) {
  const { difference } = request;
  if (!difference || request.client_is_known) return [];
  return [
    [`${difference.part} we see`, difference.server ?? "none"],
    [`${difference.part} signed`, difference.client ?? "none"],
  ];
}

function table(title, rows, both) {
  const made = element("table");
  made.setAttribute("aria-label", title);
  const head = element("tr");
  const titles = both ? ["part", "what we see", "what the client signed"] : ["part", "what we see"];
  for (const name of titles) {
    const cell = element("th", name);
    cell.scope = "col";
    head.append(cell);
  }
  const body = element("tbody");
  for (const row of rows) {
    const line = element("tr");
    const name = element("th", row.part);
    name.scope = "row";
    line.append(name, side(row.ours, "ours"));
    if (both) {
      line.append(side(row.theirs, "theirs"));
      const isMarked = (pieces) => !pieces || pieces.some(([, differs]) => differs);
      if (isMarked(row.ours) || isMarked(row.theirs)) line.className = "differs";
    }
    body.append(line);
  }
  const top = element("thead");
  top.append(head);
  made.append(top, body);
  return made;
}

function side(pieces, className) {
  if (!pieces) return element("td", "no such line", `${className} absent`);
  const cell = element("td", undefined, className);
  cell.append(
    ...pieces.map(([text, differs]) => (differs ? element("mark", text) : document.createTextNode(text))),
  );
  return cell;
}

list.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const numbers = shown().map((request) => request.number);
  const at = numbers.indexOf(selected);
  const to = {
    ArrowDown: Math.min(at + 1, numbers.length - 1),
    ArrowUp: Math.max(at - 1, 0),
    PageDown: Math.min(at + 10, numbers.length - 1),
    PageUp: Math.max(at - 10, 0),
    Home: 0,
    End: numbers.length - 1,
  }[event.key];
  if (to === undefined || !numbers.length) return;
  event.preventDefault();
  select(numbers[to]);
});

refusedOnly.addEventListener("change", showList);

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function poll() {
  for (;;) {
    try {
      const response = await fetch(`/requests?after=${newest}`);
      if (!response.ok) throw new Error(response.statusText);
      const answer = await response.json();
      byId("connection").textContent = "";
      // The program was started anew and counts from one again.
      if (answer.newest < newest) {
        requests = [];
        select(null);
        showList();
      }
      newest = answer.newest;
      add(answer.requests.reverse());
      // Requests that come fast come together.
      await pause(50);
    } catch {
      byId("connection").textContent = "the program does not answer; trying again";
      await pause(1000);
    }
  }
}

showList();
poll();
