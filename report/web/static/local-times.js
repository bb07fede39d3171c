// Adds the reader's local time to each instant, which the server writes in UTC.
"use strict";
{
  const here = new Intl.DateTimeFormat(undefined, {
    day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
  });
  for (const time of document.querySelectorAll("time[datetime]")) {
    const instant = new Date(time.dateTime);
    if (instant.getTimezoneOffset() === 0) continue;
    const own = document.createElement("small");
    own.className = "here";
    own.textContent = here.format(instant);
    time.append(own);
  }
}
