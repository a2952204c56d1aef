// Check the search of the built documentation: node search.js HTML
// Runs the JavaScript of Sphinx's search page. Exits with 1 if the page that answers one of the
// queries is not among the first three results.
const fs = require("fs");
const path = require("path");

const FIRST = 3;
const EXPECTED = {
  pagination: "queries",
  retry: "retries",
  "power on": "recipes/power",
  "create vm": "recipes/create-vm",
  "filter by label": "filters",
  jupyter: "sync",
  proxy: "settings",
  分页: "zh/queries",
  按标签筛选: "zh/filters",
  等待任务: "zh/tasks",
};

const [folder] = process.argv.slice(2);
const read = (name) => fs.readFileSync(path.join(folder, name), "utf-8");

// What the scripts use of a browser.
globalThis.document = {
  addEventListener() {},
  getElementById: () => ({ firstChild: null }),
  documentElement: { dataset: { content_root: "" } },
};
globalThis.window = globalThis;
globalThis.location = { search: "" };
globalThis._ready = () => {};
globalThis._ = (text) => text;
globalThis.SPHINX_HIGHLIGHT_ENABLED = false;
globalThis.localStorage = { setItem() {}, getItem() {}, removeItem() {} };

const sources = ["documentation_options.js", "language_data.js", "searchtools.js"];
const code = sources.map((name) => read(`_static/${name}`)).join("\n");
const search = new Function(
  "index",
  "queries",
  `${code}
  new Function("Search", index)(Search);
  return queries.map((query) => {
    const [, terms, excluded, highlight, objects] = Search._parseQuery(query);
    const results = Search._performSearch(query, terms, excluded, highlight, objects);
    return results.map((result) => result[0]).reverse(); // the best one is last
  });`,
);

const queries = Object.keys(EXPECTED);
search(read("searchindex.js"), queries).forEach((results, number) => {
  const query = queries[number];
  const pages = [...new Set(results)].slice(0, FIRST);
  if (!pages.includes(EXPECTED[query])) {
    console.error(`search "${query}": expected ${EXPECTED[query]} among ${pages.join(", ")}`);
    process.exitCode = 1;
  }
});
