const chosen = { right: "", split: "", task: "" };
const cards = [...document.querySelectorAll("article")];
const buttons = [...document.querySelectorAll(".filters button")];
function show() {
  let count = 0;
  for (const card of cards) {
    const fits = Object.entries(chosen).every(([group, value]) => value === "" || card.dataset[group] === value);
    card.hidden = !fits;
    count += fits;
  }
  document.getElementById("count").textContent = count;
}
for (const button of buttons) {
  button.addEventListener("click", () => {
    chosen[button.dataset.group] = button.dataset.value;
    for (const other of buttons.filter((one) => one.dataset.group === button.dataset.group)) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    show();
  });
}
