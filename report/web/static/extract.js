// Updates the progress bar while an extract is made, then reloads the page. Without JavaScript there is a link.
"use strict";
{
  const progress = document.getElementById("progress");
  let downloads = false;
  // A reload would break off a download that is about to begin.
  document.addEventListener("submit", () => { downloads = true; });
  const look = async () => {
    const answer = await fetch(progress.dataset.progress, { redirect: "error" }).catch(() => null);
    const state = answer?.ok ? await answer.json() : { finished: answer !== null };
    if (downloads) return;
    if (state.finished) return location.reload();
    if (state.percent != null) document.getElementById("bar").value = state.percent;
    setTimeout(look, 1000);
  };
  if (progress) {
    document.querySelector("[data-look]").hidden = true;
    setTimeout(look, 1000);
  }
}
