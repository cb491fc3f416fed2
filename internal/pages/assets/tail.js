// Lines of the log appear as they are written. Words of strangers become text, never anything else.
"use strict";

(() => {
  const most = 1000; // lines on the page
  const list = document.getElementById("tail");
  const state = document.getElementById("tail-state");
  const none = document.getElementById("tail-none");
  let next = list.dataset.next;

  const say = (text) => { state.textContent = text; state.hidden = text === ""; };
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  const atEnd = () => list.scrollTop + list.clientHeight >= list.scrollHeight - 5;

  const add = (line) => {
    const item = document.createElement("li");
    if (["debug", "info", "warn", "error"].includes(line.level)) item.className = line.level;
    const time = document.createElement("time");
    time.textContent = line.time;
    const text = document.createElement("span");
    text.textContent = line.text;
    item.append(time, " ", text);
    if (line.of) {
      const way = document.createElement("a");
      way.href = list.dataset.way + encodeURIComponent(line.of);
      way.textContent = "way";
      item.append(" ", way);
    }
    list.append(item);
  };

  const watch = async () => {
    for (;;) {
      while (document.hidden) await pause(1000);
      try {
        const url = new URL(list.dataset.more, location.href);
        url.searchParams.set("next", next);
        const answer = await fetch(url, { redirect: "error", cache: "no-store" });
        if (!answer.ok) {
          say(answer.status === 503 ? "Too many are watching; trying again." : "Lines stop here. Load the page again.");
          if (answer.status !== 503) return;
          await pause(10000);
          continue;
        }
        const got = await answer.json();
        next = got.next;
        const follow = atEnd();
        if (got.more) add({ time: "", level: "", text: "… more lines came than are shown …" });
        for (const line of got.lines) add(line);
        while (list.children.length > most) list.firstElementChild.remove();
        if (none && got.lines.length) none.hidden = true;
        if (follow) list.scrollTop = list.scrollHeight;
        say("New lines appear by themselves.");
      } catch {
        say("The server does not answer, or the session has ended. Load the page again.");
        await pause(5000);
      }
    }
  };

  list.scrollTop = list.scrollHeight;
  watch();
})();
