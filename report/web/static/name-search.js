// Searches while a name is typed, and copies ticked IDs into their field. Without JavaScript there is "Find".
"use strict";
{
  const form = document.getElementById("choices");
  const text = document.getElementById("find");
  const found = document.getElementById("found");
  let asked = 0, later;

  const look = async () => {
    const number = ++asked;
    // In the body, never in an address: a name is personal data.
    const answer = await fetch(text.dataset.found, { method: "POST", body: new URLSearchParams(new FormData(form)), redirect: "error" }).catch(() => null);
    if (number === asked && answer?.ok) found.innerHTML = await answer.text();
  };
  text.addEventListener("input", event => {
    event.stopPropagation();
    clearTimeout(later);
    later = setTimeout(look, 300);
  });
  text.addEventListener("keydown", event => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    clearTimeout(later);
    look();
  });
  found.addEventListener("input", event => {
    const field = document.getElementById(event.target.name.replace("add_", ""));
    const others = field.value.split("\n").map(line => line.trim()).filter(line => line && line !== event.target.value);
    field.value = [...others, ...(event.target.checked ? [event.target.value] : [])].join("\n");
  });
  form.querySelector("[data-find]").hidden = true;
}
