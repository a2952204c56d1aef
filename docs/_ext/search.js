// Search the built documentation as its search page does: node search.js HTML QUERY...
// Prints one line of JSON for each query: the names of the pages found, best first.
const fs = require("fs");
const path = require("path");
const [folder, ...queries] = process.argv.slice(2);
const read = (name) => fs.readFileSync(path.join(folder, name), "utf-8");

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
const find = new Function(
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
for (const pages of find(read("searchindex.js"), queries)) {
  console.log(JSON.stringify([...new Set(pages)]));
}
