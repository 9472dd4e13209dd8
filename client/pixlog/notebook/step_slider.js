"use strict";
const sections = [...document.querySelectorAll("section")];
const bar = document.querySelector(".bar");
const slider = bar.querySelector("input");
const said = bar.querySelector("output");
const button = bar.querySelector("button");
let timer = 0;
function show() {
  const chosen = Number(slider.value);
  sections.forEach((section, number) => (section.hidden = number !== chosen));
  const step = sections[chosen].dataset.step;
  said.textContent = `step ${step} (${chosen + 1} of ${sections.length})`;
  slider.setAttribute("aria-valuetext", said.textContent);
}
function stop() {
  clearInterval(timer);
  timer = 0;
  button.textContent = "▶";
  button.setAttribute("aria-label", "play");
}
if (sections.length > 0) {
  document.body.classList.add("sliding");
  bar.hidden = false;
  slider.addEventListener("input", () => {
    stop();
    show();
  });
  button.addEventListener("click", () => {
    if (timer) return stop();
    button.textContent = "❚❚";
    button.setAttribute("aria-label", "pause");
    timer = setInterval(() => {
      slider.value = String((Number(slider.value) + 1) % sections.length);
      show();
    }, 250);
  });
  show();
}
