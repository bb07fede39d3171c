// Returns the words with which a reader works on a page: headings, links of the sidebar, buttons, fields, and the titles
// of columns and figures. Names and figures of the log are not among them: a number in a heading is "N".
() => {
  const WORKED_WITH = "h1, h2, nav a, main :is(p, dd) a, button, label, legend, summary, dt, thead th";
  const OF_THE_LOG = "#found *";
  const wordsOf = element => {
    const copy = element.cloneNode(true);
    copy.querySelectorAll(".unseen, input, select, textarea, small").forEach(each => each.remove());
    const words = copy.textContent.replace(/\s+/g, " ").trim();
    return element.matches("h1, h2") ? words.replace(/\d[\d,.]*/g, "N") : words;
  };
  const shown = [...document.querySelectorAll(WORKED_WITH)].filter(each => each.checkVisibility() && !each.matches(OF_THE_LOG));
  return [...new Set(shown.map(wordsOf))].filter(words => words !== "");
}
