// The list is read anew when something has happened. Without this script, a reload does it.
(() => {
  const base = document.body.dataset.base, live = document.getElementById("live");
  if (!live || !base) return;
  const where = new URL(base + "api/events", location.href);
  where.protocol = where.protocol.replace("http", "ws");
  let waiting = false, busy = false, pause = 1000;
  const refresh = async () => {
    if (busy) { waiting = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("live");
      if (fresh) {
        const at = live.contains(document.activeElement) && document.activeElement.href;
        live.replaceChildren(...fresh.childNodes);
        if (at) [...live.querySelectorAll("a")].find((a) => a.href === at)?.focus();
      }
    } catch { /* the next event tries again */ }
    setTimeout(() => { busy = false; if (waiting) { waiting = false; refresh(); } }, 500);
  };
  const connect = () => {
    const socket = new WebSocket(where);
    let first = true;
    socket.onmessage = (m) => {
      pause = 1000;
      const type = JSON.parse(m.data).Type;
      if (type === "error" || (type === "stats" && first)) { first = false; return; }
      refresh();
    };
    socket.onclose = () => { setTimeout(connect, pause); pause = Math.min(pause * 2, 30000); };
  };
  connect();
})();

// Keys: "/" goes to the search, "j" and "k" to the next message and the one before, "u" from a message back to the list.
document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.matches("input, textarea, select")) return;
  const all = [...document.querySelectorAll("table.messages td a")], at = all.indexOf(document.activeElement);
  const go = {
    "/": () => document.querySelector("input[type=search]"),
    j: () => all[Math.min(at + 1, all.length - 1)],
    k: () => all[Math.max(at - 1, 0)],
  }[e.key]?.();
  if (go) {
    go.focus();
    e.preventDefault();
  } else if (e.key === "u" && location.pathname.includes("/message/")) {
    document.querySelector("header nav a").click();
  }
});
