// Updates the selected rows as soon as the choices change. Without JavaScript the button "Show" does that.
"use strict";
{
  const form = document.getElementById("choices");
  const seen = document.getElementById("seen");
  const days = form.querySelectorAll("[type=date]");
  let asked = 0, later;

  const look = async () => {
    const number = ++asked;
    const choices = new FormData(form);
    choices.delete("form_token");
    choices.delete("find"); // names are personal data and stay out of addresses
    const answer = await fetch(`${form.dataset.seen}?${new URLSearchParams(choices)}`, { redirect: "error" }).catch(() => null);
    if (number !== asked) return;
    if (answer?.ok) seen.innerHTML = await answer.text();
    seen.classList.remove("waiting");
  };
  form.addEventListener("input", event => {
    if ([...days].includes(event.target)) form.querySelector("[name=last][value='']").checked = true;
    if (event.target.name === "format" || event.target.name === "find") return;
    seen.classList.add("waiting");
    clearTimeout(later);
    later = setTimeout(look, 300);
  });
  form.querySelector("[data-show]").hidden = true;
  // Fields that were changed before this script ran, or restored by the browser.
  const changed = each => each.checked !== each.defaultChecked || (each.type !== "hidden" && each.value !== each.defaultValue);
  if ([...form.querySelectorAll("input:not(#find, #found *), textarea")].some(changed)) look();
}
