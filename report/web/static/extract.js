// Moves the bar while an extract is made, then shows the page anew; without script there is a link.
"use strict";
{
  const progress = document.getElementById("progress");
  const look = async () => {
    const answer = await fetch(progress.dataset.progress, { redirect: "error" }).catch(() => null);
    const said = answer?.ok ? await answer.json() : { finished: answer !== null };
    if (said.finished) return location.reload();
    if (said.percent != null) document.getElementById("bar").value = said.percent;
    setTimeout(look, 1000);
  };
  if (progress) {
    document.querySelector("[data-look]").hidden = true;
    setTimeout(look, 1000);
  }
}
