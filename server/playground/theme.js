// Light, dark, or as the system has it. A classic script, so that the first paint is right.
"use strict";
{
  const names = ["system", "light", "dark"];
  const stored = localStorage.getItem("theme");
  let theme = names.includes(stored) ? stored : "system";

  const show = () => {
    document.documentElement.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) button.ariaLabel = button.title = `Theme: ${theme}`;
  };
  show();
  document.addEventListener("DOMContentLoaded", () => {
    show();
    document.getElementById("theme").addEventListener("click", () => {
      theme = names[(names.indexOf(theme) + 1) % names.length];
      localStorage.setItem("theme", theme);
      show();
    });
  });
}
