// What makes the pages more comfortable. Nothing depends on it.
"use strict";

// A box with data-all="NAME" ticks all boxes of that name in its form.
for (const box of document.querySelectorAll("input[data-all]")) {
  box.hidden = false;
  box.addEventListener("change", () => {
    for (const other of document.querySelectorAll(`input[name="${box.dataset.all}"]`)) other.checked = box.checked;
  });
}
