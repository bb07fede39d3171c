// Adds the reader's own time to each instant, which the server writes in UTC.
"use strict";
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone !== "UTC") {
  const here = new Intl.DateTimeFormat(undefined, {
    day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
  });
  for (const time of document.querySelectorAll("time[datetime]")) {
    const instant = new Date(time.dateTime);
    const own = document.createElement("small");
    own.className = "here";
    own.textContent = here.format(instant);
    time.append(own);
  }
}
