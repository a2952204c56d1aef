// Send requests to a simulated CloudTower as a JavaScript program does, and read the answers.
//
// Takes on the standard input JSON with `url`, `username`, `password` and `requests`, each with
// `method`, `path` and `body`. Writes JSON with one entry for each: `status`, `length` of a list, and
// `odd`: the answer where JSON.stringify would have written it in another way.

const { url, username, password, requests } = JSON.parse(await text(process.stdin));
const json = { "content-type": "application/json" };
const login = await fetch(`${url}/v2/api/login`, {
  method: "POST",
  headers: json,
  body: JSON.stringify({ username, password, source: "LOCAL" }),
});
const { data } = await login.json();
const results = [];
for (const { method, path, body, headers } of requests) {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { ...json, Authorization: data.token, ...headers },
    body: method === "GET" ? undefined : JSON.stringify(body),
  });
  const answer = await response.text();
  const value = JSON.parse(answer);
  const written = JSON.stringify(value);
  results.push({
    status: response.status,
    length: Array.isArray(value) ? value.length : null,
    odd: written === answer ? null : different(answer, written),
  });
}
process.stdout.write(JSON.stringify(results));

async function text(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

// The surroundings of the first difference.
function different(answer, written) {
  let place = 0;
  while (answer[place] === written[place]) place += 1;
  const from = Math.max(0, place - 60);
  return `${answer.slice(from, place + 40)} is written as ${written.slice(from, place + 40)}`;
}
