// Light, dark, or as the system has it; remembered on this device.
import { byId } from "./dom.js";

const PLACE = "relata:theme";
const NAMES = { auto: "Theme: auto", light: "Theme: light", dark: "Theme: dark" };
const order = Object.keys(NAMES);
const button = byId("theme");
let theme = order.includes(localStorage.getItem(PLACE)) ? localStorage.getItem(PLACE) : "auto";

function show() {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  button.textContent = NAMES[theme];
}

button.addEventListener("click", () => {
  theme = order[(order.indexOf(theme) + 1) % order.length];
  localStorage.setItem(PLACE, theme);
  show();
});
show();
