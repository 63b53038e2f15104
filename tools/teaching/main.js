// The page: an operator or the exercises, by the address behind #.

const EXERCISES = "find-the-bug";
const VIEW = document.getElementById("view");

function route(focus) {
  const wanted = location.hash.slice(1), known = Object.keys(DATA.operators);
  const name = wanted === EXERCISES || known.includes(wanted) ? wanted : known[0];
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.hash === `#${name}`;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    if (here) link.scrollIntoView({ inline: "center", block: "nearest" });
  }
  document.title = `${name === EXERCISES ? "Find the bug" : name} · integer operators by hand`;
  if (name === EXERCISES) showExercises(VIEW);
  else showOperator(name, VIEW);
  if (focus) {
    scrollTo(0, 0);
    VIEW.querySelector("h1").focus({ preventScroll: true });
  }
}

const THEME = document.getElementById("theme");
const isDark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
function showTheme() {
  THEME.textContent = isDark() ? "Light" : "Dark";
  THEME.setAttribute("aria-label", `switch to ${isDark() ? "light" : "dark"} colours`);
}
THEME.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
});
showTheme();
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  VIEW.focus();
});
addEventListener("hashchange", () => route(true));
route(false);

// For tests, and for whoever opens the console.
window.byHand = { evaluate, callOf, exercise, judged, suspects, plotted, startOf, REAL, STATES, DATA };
